package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// variable is what the tags of a field say.
type variable struct {
	name     string // of the environment variable
	field    string // of Config
	typ      reflect.Type
	def      string // default
	embedded string // default without REDIS_URL, if it is another
	allow    string
	group    string // the group that begins here
	help     string
}

func variables() []variable {
	var vars []variable
	for f := range reflect.TypeFor[Config]().Fields() {
		name, ok := f.Tag.Lookup("env")
		if !ok {
			continue
		}
		v := variable{
			name: name, field: f.Name, typ: f.Type,
			def: f.Tag.Get("envDefault"), embedded: f.Tag.Get("embedded"),
			allow: f.Tag.Get("allow"), help: f.Tag.Get("help"),
		}
		if rest, ok := strings.CutPrefix(v.help, "# "); ok {
			v.group, v.help, _ = strings.Cut(rest, ": ")
		}
		vars = append(vars, v)
	}
	return vars
}

// allowed says what the variable may be, for people.
func (v variable) allowed() string {
	least, greatest, isRange := strings.Cut(v.allow, "..")
	if isRange {
		least, greatest = "from "+least, " to "+greatest
	} else {
		least = ""
	}
	switch v.typ {
	case reflect.TypeFor[time.Duration]():
		return "a duration " + least + greatest + ", such as 500ms, 15s or 2m"
	case reflect.TypeFor[Bytes]():
		return "a size " + least + greatest + ", in bytes or such as 512KiB, 4MiB or 1GiB"
	case reflect.TypeFor[Attributes]():
		return "key=value pairs separated by commas"
	}
	switch v.typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a number " + least + greatest
	}
	if v.name == "SSE_AUTH" {
		return "only anonymous is built yet; jwt, webhook and signed are to come"
	}
	return "one of " + strings.ReplaceAll(v.allow, "|", ", ")
}

// Table returns all variables with their defaults and meanings, for --help.
func Table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, v := range variables() {
		if v.group != "" {
			_ = w.Flush()
			fmt.Fprintf(&b, "%s\n", v.group)
		}
		def := v.def
		if def == "" {
			def = "-"
		}
		help := v.help
		if v.embedded != "" {
			help += fmt.Sprintf(" (without REDIS_URL: %s)", v.embedded)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", v.name, def, help)
	}
	_ = w.Flush()
	return b.String()
}

// A Kubernetes Service named sse, or sse-anything, in the pod's namespace puts
// variables like these into the pod's environment ("service links"). They are
// not the gateway's configuration and not a mistake.
var (
	serviceLink = regexp.MustCompile(`^SSE(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	portLink    = regexp.MustCompile(`^SSE(_[A-Z0-9_]+)?_PORT$`)
	portURL     = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || portLink.MatchString(name) && portURL.MatchString(value)
}

// habits are names that people try first.
var habits = map[string]string{
	"SSE_REDIS_URL": "REDIS_URL",
	"SSE_REDIS":     "REDIS_URL",
	"SSE_PORT":      "SSE_ADDR",
	"SSE_LISTEN":    "SSE_ADDR",
	"SSE_CORS":      "SSE_ALLOWED_ORIGINS",
}

// suggestion says what an unknown variable may have been meant to be.
func suggestion(name string, vars []variable) string {
	best, near := habits[name], len(name)/3+1
	for _, v := range vars {
		d := distance(name, v.name)
		if strings.HasPrefix(v.name, name) {
			d = 1
		}
		if d < near && habits[name] == "" {
			best, near = v.name, d
		}
	}
	if best == "" {
		return "remove it; sse-gateway serve --help lists all"
	}
	return "did you mean " + best + "? (sse-gateway serve --help lists all)"
}

// distance is the number of letters to add, remove or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
