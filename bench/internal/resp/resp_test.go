package resp

import (
	"bufio"
	"strings"
	"testing"
)

func TestCommandsAreSentAsArrays(t *testing.T) {
	if got, want := string(Append(nil, "XADD", "k", "")), "*3\r\n$4\r\nXADD\r\n$1\r\nk\r\n$0\r\n\r\n"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

func TestRepliesOfAllKinds(t *testing.T) {
	c := &Conn{r: bufio.NewReader(strings.NewReader("+OK\r\n:7\r\n$2\r\nab\r\n$-1\r\n*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n-ERR no\r\n*2\r\n-ERR in\r\n$1\r\nc\r\nwhat\r\n"))}
	for _, want := range []string{"OK", "7", "ab", "", "b"} {
		if got, err := c.Receive(); err != nil || string(got) != want {
			t.Errorf("want %q, got %q, %v", want, got, err)
		}
	}
	for _, want := range []string{"ERR no", "ERR in", "not a reply of Redis: what"} {
		if _, err := c.Receive(); err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestCalls(t *testing.T) {
	c := parseCalls("# Commandstats\r\ncmdstat_xread:calls=12,usec=99\r\ncmdstat_xinfo|stream:calls=3,usec=1\r\ncmdstat_xadd:calls=5,usec=1\r\n")
	if c["xadd"] != 5 || Reads(c) != 15 {
		t.Errorf("got %v", c)
	}
}
