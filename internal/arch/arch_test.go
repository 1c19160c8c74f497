// Package arch holds the direction of imports: a package that begins to
// import upwards fails here, before anybody depends on it.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ssegateway/sse-gateway/"

// allowed says what each package may import of this module, tests left out.
// Packages below another are bound by its rule, and may import it.
var allowed = map[string][]string{
	"sse":                  {},
	"auth":                 {},
	"stream":               {"sse"},
	"client":               {"sse"},
	"internal/redisstream": {"stream"},
	"internal/embedded":    {"stream"},
	"internal/redistest":   {},
	"internal/testreport":  {},
	"broadcaster":          {"stream", "sse", "internal/redisstream"},
	"replayer":             {"stream", "sse", "internal/redisstream"},
	"gateway":              {"stream", "sse", "auth", "broadcaster", "replayer"},
	"cmd":                  {"stream", "sse", "auth", "broadcaster", "replayer", "gateway", "client", "internal/redisstream", "internal/embedded"},
	"integration":          {"stream", "sse"},
	"bench":                {},
}

func TestPackagesImportDownwardsOnly(t *testing.T) {
	root := filepath.Join("..", "..")
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		from := filepath.ToSlash(filepath.Dir(rel))
		rule, ok := ruleOf(from)
		if !ok {
			t.Errorf("package %s has no rule: say here what it may import", from)
			return nil
		}
		found[rule] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if to, ours := strings.CutPrefix(name, module); ours && !mayImport(rule, to) {
				t.Errorf("%s imports %s, which %s may not", rel, to, rule)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"sse", "stream", "broadcaster", "replayer", "gateway", "cmd"} {
		if !found[p] {
			t.Errorf("package %s was not found: this test looks in the wrong place", p)
		}
	}
}

// ruleOf returns the package or the nearest one above it that has a rule.
func ruleOf(pkg string) (string, bool) {
	for ; pkg != "."; pkg = filepath.ToSlash(filepath.Dir(pkg)) {
		if _, ok := allowed[pkg]; ok {
			return pkg, true
		}
	}
	return "", false
}

func mayImport(rule, to string) bool {
	for _, ok := range append(allowed[rule], rule) {
		if to == ok || strings.HasPrefix(to, ok+"/") {
			return true
		}
	}
	return false
}
