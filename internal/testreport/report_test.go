package main

import (
	"strings"
	"testing"
)

func reported(t *testing.T, noSkips bool, lines ...string) (string, bool) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out, false)
	if err := r.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	ok := r.finish(noSkips)
	return out.String(), ok
}

const (
	passes = `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.5}`
	packagePasses = `{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.5s\n"}
{"Action":"pass","Package":"p","Elapsed":0.5}`
	skips = `{"Action":"skip","Package":"p","Test":"TestB","Elapsed":0}`
)

func TestPassingTestsAreALineForThePackage(t *testing.T) {
	out, ok := reported(t, true, passes, packagePasses)
	if !ok || out != "ok  \tp\t0.5s\n\n1 passed, 0 failed, 0 skipped\n     0.5s p.TestA\n" {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestASkipFailsWhereNoneMayBe(t *testing.T) {
	if out, ok := reported(t, false, passes, skips, packagePasses); !ok || !strings.Contains(out, "1 skipped") {
		t.Errorf("%v\n%s", ok, out)
	}
	if out, ok := reported(t, true, passes, skips, packagePasses); ok || !strings.Contains(out, "SKIPPED, where none may be:\n  p.TestB\n") {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestAPackageWithoutTestsIsNoSkip(t *testing.T) {
	out, ok := reported(t, true, passes, packagePasses,
		`{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}`, `{"Action":"skip","Package":"q","Elapsed":0}`)
	if !ok || !strings.Contains(out, "[no test files]") {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestWhatAFailingTestSaysIsShown(t *testing.T) {
	out, ok := reported(t, false, passes,
		`{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:7: got 1\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestC","Elapsed":0}`,
		`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.5s\n"}`,
		`{"Action":"fail","Package":"p","Elapsed":0.5}`)
	if ok || !strings.Contains(out, "c_test.go:7: got 1") || !strings.Contains(out, "FAIL\tp") || strings.Contains(out, "chatter") ||
		!strings.Contains(out, "FAILED tests:\n  p.TestC\n") {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestATestThatDiedWithItsProcessHasFailed(t *testing.T) {
	out, ok := reported(t, false, passes,
		`{"Action":"run","Package":"p","Test":"TestD"}`,
		`{"Action":"output","Package":"p","Test":"TestD","Output":"panic: oh\n"}`,
		`{"Action":"fail","Package":"p","Elapsed":0.5}`)
	if ok || !strings.Contains(out, "panic: oh") || !strings.Contains(out, "FAILED tests:\n  p.TestD\n") {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestABuildThatFailsIsShown(t *testing.T) {
	out, ok := reported(t, false, passes,
		`{"ImportPath":"q [q.test]","Action":"build-output","Output":"q/q.go:1:1: undefined: x\n"}`,
		`{"ImportPath":"q [q.test]","Action":"build-fail"}`,
		`{"Action":"output","Package":"q","Output":"FAIL\tq [build failed]\n"}`,
		`{"Action":"fail","Package":"q","Elapsed":0,"FailedBuild":"q [q.test]"}`)
	if ok || !strings.Contains(out, "undefined: x") || !strings.Contains(out, "FAILED packages:\n  q\n") {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestNothingIsNotSuccess(t *testing.T) {
	if out, ok := reported(t, false, "go: cannot find main module"); ok || !strings.Contains(out, "cannot find main module") || !strings.Contains(out, "NO TEST RAN") {
		t.Errorf("%v\n%s", ok, out)
	}
}
