package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Browser is a program that shows a page without a screen.
type Browser struct {
	Name     string
	programs []string // names that it goes by
	packages string   // where it comes from
	args     func(profile, url string) []string
	prepare  func(profile string) error
}

// Browsers are those that the tests use.
var Browsers = []Browser{
	{
		Name:     "chromium",
		programs: []string{"chromium", "chromium-browser", "google-chrome"},
		packages: "chromium (Debian), chromium-browser (Ubuntu)",
		args: func(profile, url string) []string {
			return []string{
				"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
				"--no-first-run", "--no-default-browser-check", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", "--disable-extensions",
				"--disable-breakpad", "--no-proxy-server", "--user-data-dir=" + profile, url,
			}
		},
	},
	{
		Name:     "firefox",
		programs: []string{"firefox-esr", "firefox"},
		packages: "firefox-esr (Debian), firefox (others)",
		args: func(profile, url string) []string {
			return []string{"--headless", "--no-remote", "--profile", profile, url}
		},
		prepare: quietFirefox,
	},
}

// Show opens a page in a browser of its own, with a profile of its own. It
// fails if the browser is not there: what nobody runs is not tested.
func (b Browser) Show(t testing.TB, url string) {
	t.Helper()
	var path string
	for _, name := range b.programs {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatalf("no %s in PATH: install the package %s", b.Name, b.packages)
	}
	// Not t.TempDir: a browser may still write while it dies, and a folder
	// that cannot be removed at once is no failure.
	home, err := os.MkdirTemp("", b.Name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	profile := filepath.Join(home, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	if b.prepare != nil {
		if err := b.prepare(profile); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8"}
	p, err := StartProcess(b.Name, env, path, b.args(profile, url)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		showIfFailed(t, b.Name, func() string { return p.Log.Tail(20) })
	})
}

// quietFirefox switches off everything that Firefox does on its own at its
// first start.
func quietFirefox(profile string) error {
	prefs := []string{
		`"app.update.enabled", false`,
		`"app.normandy.enabled", false`,
		`"browser.aboutwelcome.enabled", false`,
		`"browser.safebrowsing.downloads.enabled", false`,
		`"browser.safebrowsing.malware.enabled", false`,
		`"browser.safebrowsing.phishing.enabled", false`,
		`"browser.shell.checkDefaultBrowser", false`,
		`"browser.startup.homepage_override.mstone", "ignore"`,
		`"datareporting.policy.dataSubmissionEnabled", false`,
		`"extensions.update.enabled", false`,
		`"network.captive-portal-service.enabled", false`,
		`"network.connectivity-service.enabled", false`,
		`"network.proxy.type", 0`,
		`"services.settings.server", "data:,"`,
		`"toolkit.telemetry.enabled", false`,
		`"toolkit.telemetry.reportingpolicy.firstRun", false`,
	}
	var js strings.Builder
	for _, p := range prefs {
		js.WriteString("user_pref(" + p + ");\n")
	}
	return os.WriteFile(filepath.Join(profile, "user.js"), []byte(js.String()), 0o600)
}
