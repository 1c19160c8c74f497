package main

import (
	"runtime"
	"strings"
	"testing"
)

func TestVersionSaysWhatTheProgramIsMadeOf(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		code, stdout, stderr := command(t, nil, "", args...)
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "sse-gateway ") || !strings.Contains(stdout, runtime.Version()) || strings.Count(stdout, "\n") != 1 {
			t.Errorf("%v: %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

func TestStampedVersionsWin(t *testing.T) {
	version, commit = "v1.2.3", "0123456789ab"
	t.Cleanup(func() { version, commit = "", "" })
	if b := buildVersion(); b.version != "v1.2.3" || b.commit != "0123456789ab" {
		t.Errorf("got %s", b)
	}
}

func TestHelpShowsAllCommandsVariablesAndExitCodes(t *testing.T) {
	code, stdout, _ := command(t, nil, "", "--help")
	for _, want := range []string{"serve", "publish", "subscribe", "healthcheck", "version", "Exit codes: 0 done"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	code, stdout, _ = command(t, nil, "", "serve", "--help")
	for _, want := range []string{"REDIS_URL ", "SSE_ADDR ", "SSE_SHUTDOWN_TIMEOUT ", "master_name="} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}

func TestWrongUsageIsOneLineAndCode2(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"srve", `there is no command "srve": did you mean serve? (sse-gateway --help lists all)`},
		{"serve now", "serve takes no arguments: it is configured by its environment, see sse-gateway serve --help"},
		{"--port=8080", "flag provided but not defined: -port (see sse-gateway --help)"},
		{"serve --port 8080", "flag provided but not defined: -port (see sse-gateway serve --help)"},
		{"publish", "publish needs a topic (see sse-gateway publish --help)"},
		{"publish {x} data", `topic "{x}": it contains '{'; a topic is 1 to 200 bytes of letters, digits and - _ . : / @ + = , and does not begin with ~`},
		{"publish t a b", "publish takes a topic and its data once: quote data that contains spaces"},
		{"publish t a --data b", "publish takes a topic and its data once: quote data that contains spaces"},
		{"publish t a --url localhost:8080", "--url is not an address such as http://localhost:8080"},
		{"subscribe", "subscribe needs at least one topic (see sse-gateway subscribe --help)"},
		{"subscribe a ~b", `topic "~b": names beginning with ~ are the gateway's own; a topic is 1 to 200 bytes of letters, digits and - _ . : / @ + = , and does not begin with ~`},
		{"subscribe a --since 5m --last 3", "--since, --last and --last-event-id exclude each other"},
		{"subscribe a --last=-1", "--last and --count are not negative"},
		{"subscribe a --last=x", `invalid value "x" for flag -last: strconv.ParseInt: parsing "x": invalid syntax (see sse-gateway subscribe --help)`},
		{"subscribe a --url ftp://h", "--url is not an address such as http://localhost:8080"},
		{"healthcheck now", "healthcheck takes no arguments, see sse-gateway healthcheck --help"},
		{"healthcheck --url ://", "--url is not an address such as http://127.0.0.1:9090"},
	} {
		code, stdout, stderr := command(t, nil, "", strings.Fields(c.args)...)
		if code != exitUsage || stdout != "" || stderr != "sse-gateway: "+c.want+"\n" {
			t.Errorf("%s: %d\n%s%s", c.args, code, stdout, stderr)
		}
	}
}
