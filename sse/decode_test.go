package sse_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

// decodeAll reads r to its end and returns what came, and the error if it was not io.EOF.
func decodeAll(r io.Reader, opts ...sse.DecoderOption) (parsed, error) {
	var p parsed
	opts = append(opts, sse.OnComment(func(text string) { p.comments = append(p.comments, text) }))
	dec := sse.NewDecoder(r, opts...)
	for {
		e, err := dec.Decode()
		if err != nil {
			p.lastID = dec.LastEventID()
			p.retry, p.hasRetry = dec.Retry()
			if err == io.EOF {
				err = nil
			}
			return p, err
		}
		p.events = append(p.events, e)
	}
}

type decodeCase struct {
	name string
	in   string // with LF as the only line end, for the other mixes are made from it
	want parsed
}

func event(data string) []sse.Event { return []sse.Event{{Data: data}} }

var decodeCases = []decodeCase{
	{"empty input", "", parsed{}},
	{"only blank lines", "\n\n\n", parsed{}},
	{"a comment is no event", ":c\n\n", parsed{comments: []string{"c"}}},
	{"an empty comment", ":\n", parsed{comments: []string{""}}},
	{"a comment inside a block", "data: a\n: hi\ndata: b\n\n", parsed{events: event("a\nb"), comments: []string{"hi"}}},
	{"a type without data is no event", "event\n\n", parsed{}},
	{"a field without a colon", "data\n\n", parsed{events: event("")}},
	{"two empty data lines", "data:\ndata:\n\n", parsed{events: event("\n")}},
	{"two data lines without colons", "data\ndata\n\n", parsed{events: event("\n")}},
	{"data lines are joined by LF", "data: a\ndata: b\ndata: c\n\n", parsed{events: event("a\nb\nc")}},
	{"trailing empty data line is kept", "data: a\ndata:\n\n", parsed{events: event("a\n")}},
	{"unterminated event", "data: a\n\ndata: b\n", parsed{events: event("a")}},
	{"unterminated line", "data: a\n\ndata: b", parsed{events: event("a")}},
	{"an unterminated event does not commit its id", "id: 1\ndata: a\n\nid: 2\ndata: b\n",
		parsed{events: []sse.Event{{ID: "1", Data: "a"}}, lastID: "1"}},
	{"an id without data is committed by the blank line", "id: 1\n\n", parsed{lastID: "1"}},
	{"an id stays until changed", "id: 1\ndata: a\n\ndata: b\n\n",
		parsed{events: []sse.Event{{ID: "1", Data: "a"}, {ID: "1", Data: "b"}}, lastID: "1"}},
	{"an id of a block without data reaches the next event", "id: 1\n\ndata: b\n\n",
		parsed{events: []sse.Event{{ID: "1", Data: "b"}}, lastID: "1"}},
	{"an id alone resets it", "id: 1\ndata: a\n\nid\ndata: b\n\n",
		parsed{events: []sse.Event{{ID: "1", Data: "a"}, {Data: "b"}}}},
	{"an id with a colon and nothing else resets it", "id: 1\ndata: a\n\nid:\n\n",
		parsed{events: []sse.Event{{ID: "1", Data: "a"}}}},
	{"an id with NUL is ignored", "id: 1\n\nid: 2\x003\ndata: a\n\n",
		parsed{events: []sse.Event{{ID: "1", Data: "a"}}, lastID: "1"}},
	{"the last of several ids counts", "id: 1\nid: 2\ndata: a\n\n",
		parsed{events: []sse.Event{{ID: "2", Data: "a"}}, lastID: "2"}},
	{"an id with a comma, a colon and spaces", "id: 1-0:a, b \ndata\n\n",
		parsed{events: []sse.Event{{ID: "1-0:a, b "}}, lastID: "1-0:a, b "}},
	{"no space to strip", "data:a\n\n", parsed{events: event("a")}},
	{"exactly one space is stripped", "data:  a\n\n", parsed{events: event(" a")}},
	{"only a space is stripped, not a tab", "data:\ta\n\n", parsed{events: event("\ta")}},
	{"trailing spaces are data", "data: a \n\n", parsed{events: event("a ")}},
	{"only the first colon divides", "data: a: b\n\n", parsed{events: event("a: b")}},
	{"a name with trailing spaces is unknown", "data  \n\n", parsed{}},
	{"a name with a trailing space and a colon is unknown", "data : a\n\n", parsed{}},
	{"a name with a leading space is unknown", " data: a\n\n", parsed{}},
	{"names have case", "Data: a\nDATA: b\n\n", parsed{}},
	{"unknown fields are ignored", "foo: bar\ndata: a\nbaz\n\n", parsed{events: event("a")}},
	{"the type is back to message after an event", "event: add\ndata: a\n\ndata: b\n\n",
		parsed{events: []sse.Event{{Type: "add", Data: "a"}, {Data: "b"}}}},
	{"the type does not leak over a blank line", "event: add\n\ndata: b\n\n", parsed{events: event("b")}},
	{"the last of several types counts", "event: a\nevent: b\ndata\n\n", parsed{events: []sse.Event{{Type: "b"}}}},
	{"an empty type means message", "event: a\nevent:\ndata\n\n", parsed{events: event("")}},
	{"retry", "retry: 3000\n\n", parsed{retry: 3 * time.Second, hasRetry: true}},
	{"retry counts at once, even in an unfinished block", "retry: 3000\n", parsed{retry: 3 * time.Second, hasRetry: true}},
	{"retry of an event", "retry: 10\ndata: a\n\ndata: b\n\n",
		parsed{events: []sse.Event{{Data: "a", Retry: 10 * time.Millisecond}, {Data: "b"}}, retry: 10 * time.Millisecond, hasRetry: true}},
	{"retry does not leak over a blank line into an event", "retry: 10\n\ndata: b\n\n",
		parsed{events: event("b"), retry: 10 * time.Millisecond, hasRetry: true}},
	{"retry 0", "retry: 0\n", parsed{hasRetry: true}},
	{"retry with leading zeros", "retry: 00000000000000000000005\n", parsed{retry: 5 * time.Millisecond, hasRetry: true}},
	{"retry with a plus", "retry: +5\n", parsed{}},
	{"retry with a minus", "retry: -5\n", parsed{}},
	{"retry with a fraction", "retry: 1.5\n", parsed{}},
	{"retry with two spaces", "retry:  5\n", parsed{}},
	{"retry with a trailing space", "retry: 5 \n", parsed{}},
	{"retry with letters", "retry: 5s\n", parsed{}},
	{"retry with digits that are not ASCII", "retry: ٥\n", parsed{}},
	{"retry without a value", "retry\nretry:\n", parsed{}},
	{"the longest retry", "retry: 9223372036854\n", parsed{retry: 9223372036854 * time.Millisecond, hasRetry: true}},
	{"retry over the longest", "retry: 9223372036855\n", parsed{}},
	{"retry over 64 bits", "retry: 18446744073709551617\n", parsed{}},
	{"a bad retry leaves the good one", "retry: 7\nretry: x\n", parsed{retry: 7 * time.Millisecond, hasRetry: true}},
	{"one leading BOM is stripped", "\ufeffdata: a\n\n", parsed{events: event("a")}},
	{"only one leading BOM is stripped", "\ufeff\ufeffdata: a\n\n", parsed{}},
	{"a BOM in a later line is part of the name", "\n\ufeffdata: a\n\n", parsed{}},
	{"a BOM in data is data", "data: \ufeffa\n\n", parsed{events: event("\ufeffa")}},
	{"a BOM before a blank line", "\ufeff\ndata: a\n\n", parsed{events: event("a")}},
	{"half a BOM is not one", "\xef\xbbdata: a\n\n", parsed{}},
	{"other scripts", "data: žluťoučký 馬 🐎\nevent: ж\n\n", parsed{events: []sse.Event{{Type: "ж", Data: "žluťoučký 馬 🐎"}}}},
	{"bytes that are not UTF-8", "data: \xff\xfea\xe2\x82b\n\n", parsed{events: event("\ufffd\ufffda\ufffdb")}},
	{"NUL in data and type is theirs", "data: a\x00b\nevent: \x00\n\n", parsed{events: []sse.Event{{Type: "\x00", Data: "a\x00b"}}}},
	{"a line longer than the read buffer", "data: " + strings.Repeat("x", 100_000) + "\n\ndata: y\n\n",
		parsed{events: []sse.Event{{Data: strings.Repeat("x", 100_000)}, {Data: "y"}}}},
}

// lineEndMixes returns s with its LFs replaced by every kind of line end, alone and mixed.
func lineEndMixes(s string) map[string]string {
	mixes := map[string]string{
		"LF":   s,
		"CRLF": strings.ReplaceAll(s, "\n", "\r\n"),
		"CR":   strings.ReplaceAll(s, "\n", "\r"),
	}
	n := strings.Count(s, "\n")
	kinds := []string{"\n", "\r\n", "\r"}
	mix := func(name string, kind func(i int) string) {
		var b strings.Builder
		i, blank := 0, false
		for _, c := range []byte(s) {
			if c != '\n' {
				b.WriteByte(c)
				blank = false
				continue
			}
			k := kind(i)
			if blank && k == "\n" && strings.HasSuffix(b.String(), "\r") {
				k = "\r\n" // CR and LF side by side would be one line end, not two
			}
			b.WriteString(k)
			i, blank = i+1, true
		}
		mixes[name] = b.String()
	}
	if n <= 5 { // every mix there is
		total := 1
		for range n {
			total *= len(kinds)
		}
		for m := range total {
			mix(fmt.Sprint("mix ", m), func(i int) string {
				k := m
				for range i {
					k /= len(kinds)
				}
				return kinds[k%len(kinds)]
			})
		}
		return mixes
	}
	rng := rand.New(rand.NewPCG(1, uint64(len(s))))
	for m := range 100 {
		mix(fmt.Sprint("random mix ", m), func(int) string { return kinds[rng.IntN(len(kinds))] })
	}
	return mixes
}

func TestDecoderConformsWholeAndByteByByteWithEveryLineEnd(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole":                func(r io.Reader) io.Reader { return r },
		"byte by byte":         iotest.OneByteReader,
		"halves":               iotest.HalfReader,
		"last bytes with EOF":  iotest.DataErrReader,
		"now and then nothing": func(r io.Reader) io.Reader { return &stutter{r: iotest.OneByteReader(r)} },
	}
	for _, c := range decodeCases {
		t.Run(c.name, func(t *testing.T) {
			for mix, in := range lineEndMixes(c.in) {
				if got := reference(in, ""); !got.equal(c.want) {
					t.Fatalf("%s: the reference says %+v, the table %+v", mix, got, c.want)
				}
				for feed, reader := range readers {
					if len(in) > 10_000 && feed != "whole" && mix != "CRLF" {
						continue // the long case once per way of feeding
					}
					got, err := decodeAll(reader(strings.NewReader(in)))
					if err != nil || !got.equal(c.want) {
						t.Fatalf("%s, %s: %q\n got %+v, %v\nwant %+v", mix, feed, in, got, err, c.want)
					}
				}
			}
		})
	}
}

// stutter is a reader that returns nothing every other time, as io.Reader allows.
type stutter struct {
	r    io.Reader
	idle bool
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.idle = !s.idle; s.idle {
		return 0, nil
	}
	return s.r.Read(p)
}

func TestDecoderNeverReadsPastABlankLine(t *testing.T) {
	for _, in := range []string{"data: a\n\n", "data: a\r\r", "data: a\r\n\r", "data: a\n\r", "data: a\r\n\n"} {
		dec := sse.NewDecoder(&exactly{t: t, data: in})
		if e, err := dec.Decode(); err != nil || e.Data != "a" {
			t.Errorf("%q: got %+v, %v", in, e, err)
		}
	}
}

// exactly is a reader that fails the test when it is asked for more than it has.
type exactly struct {
	t    *testing.T
	data string
}

func (r *exactly) Read(p []byte) (int, error) {
	if r.data == "" {
		r.t.Error("the decoder reads on, where a socket would block")
		return 0, io.EOF
	}
	p[0] = r.data[0]
	r.data = r.data[1:]
	return 1, nil
}

func TestDecoderTakesTheLFOfACRLFSplitOverReads(t *testing.T) {
	r := io.MultiReader(strings.NewReader("data: a\r\n\r"), strings.NewReader("\ndata: b\r\n\r"), strings.NewReader("\n\n"))
	got, err := decodeAll(r)
	want := []sse.Event{{Data: "a"}, {Data: "b"}}
	if err != nil || !slices.Equal(got.events, want) {
		t.Errorf("got %+v, %v", got.events, err)
	}
}

func TestDecoderGoesOnFromAnInitialID(t *testing.T) {
	got, err := decodeAll(strings.NewReader("data: a\n\nid: 8\n"), sse.InitialID("7"))
	if err != nil || !slices.Equal(got.events, []sse.Event{{ID: "7", Data: "a"}}) || got.lastID != "7" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecoderTakesLinesOf14MiBByDefault(t *testing.T) {
	long := strings.Repeat("x", 14<<20)
	got, err := decodeAll(strings.NewReader("data: " + long + "\n\ndata: y\n\n"))
	if err != nil || len(got.events) != 2 || got.events[0].Data != long || got.events[1].Data != "y" {
		t.Errorf("got %d events, %v", len(got.events), err)
	}
}

func TestDecoderLimitsLinesAndData(t *testing.T) {
	for _, c := range []struct {
		name, in, what string
	}{
		{"line at the limit", "data:12345\n\n", ""},
		{"line over the limit", "data:123456\n\n", "line"},
		{"unended line over the limit", "data:123456", "line"},
		{"comment over the limit", ":1234567890\n", "line"},
		{"data at the limit", "data:12345\ndata:6789\n\n", ""},
		{"data over the limit", "data:12345\ndata:67890\n\n", "data"},
		{"data over the limit by empty lines", strings.Repeat("data\n", 12) + "\n", "data"},
		{"many small events", strings.Repeat("data:12345\n\n", 10), ""},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			dec := sse.NewDecoder(r, sse.MaxEventSize(10))
			var err error
			for err == nil {
				_, err = dec.Decode()
			}
			var size *sse.SizeError
			switch {
			case c.what == "" && err != io.EOF:
				t.Errorf("%s: %v", c.name, err)
			case c.what != "" && (!errors.As(err, &size) || *size != sse.SizeError{What: c.what, Limit: 10}):
				t.Errorf("%s: got %v, want a SizeError", c.name, err)
			}
			if _, again := dec.Decode(); again != err {
				t.Errorf("%s: the error is not final: %v, then %v", c.name, err, again)
			}
		}
	}
}

func TestDecoderStopsReadingAnEndlessLineAtTheLimit(t *testing.T) {
	endless := &counting{}
	_, err := sse.NewDecoder(endless, sse.MaxEventSize(1<<20)).Decode()
	var size *sse.SizeError
	if !errors.As(err, &size) || endless.n > 4<<20 {
		t.Errorf("%v after %d bytes", err, endless.n)
	}
}

type counting struct{ n int }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	c.n += len(p)
	return len(p), nil
}

func TestDecoderPassesOnTheReadersErrors(t *testing.T) {
	cut := errors.New("cut")
	r := io.MultiReader(strings.NewReader("id: 1\ndata: a\n\nid: 2\ndata: b\n"), iotest.ErrReader(cut))
	got, err := decodeAll(r)
	if err != cut || !slices.Equal(got.events, []sse.Event{{ID: "1", Data: "a"}}) || got.lastID != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecoderGivesUpOnAReaderThatReturnsNothing(t *testing.T) {
	if _, err := sse.NewDecoder(nothing{}).Decode(); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestEventNameDefaultsToMessage(t *testing.T) {
	if got := (sse.Event{}).Name(); got != "message" {
		t.Error(got)
	}
	if got := (sse.Event{Type: "add"}).Name(); got != "add" {
		t.Error(got)
	}
}
