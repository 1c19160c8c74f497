package stream_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

const base = 1_700_000_000_000 // a clock reading

func randomTopics(rnd *rand.Rand, n int) []stream.Topic {
	seen := make(map[stream.Topic]bool)
	var topics []stream.Topic
	for len(topics) < n {
		t := stream.Topic(fmt.Sprintf("topic/%d", rnd.IntN(1_000_000)))
		if !seen[t] {
			seen[t] = true
			topics = append(topics, t)
		}
	}
	return topics
}

// randomID draws from ids of all kinds.
func randomID(rnd *rand.Rand) stream.ID {
	switch rnd.IntN(8) {
	case 0:
		return stream.ID{}
	case 1:
		return stream.MaxID
	case 2:
		return stream.ID{Ms: rnd.Uint64(), Seq: rnd.Uint64()}
	case 3:
		return stream.ID{Seq: rnd.Uint64N(1000) + 1}
	case 4:
		return stream.ID{Ms: math.MaxUint64 - rnd.Uint64N(3)}
	case 5:
		return stream.ID{Ms: base + rnd.Uint64N(1<<20)}.Prev()
	}
	return stream.ID{Ms: base + rnd.Uint64N(86_400_000), Seq: rnd.Uint64N(128)}
}

func cursorOf(topics []stream.Topic, own int, at []stream.ID) string {
	b := at[own].AppendTo(nil)
	return string(stream.NewVector(topics).AppendSuffix(b, own, at))
}

func TestACursorGivesBackEveryPosition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		n := 1 + rnd.IntN(stream.MaxCursorTopics)
		topics := randomTopics(rnd, n)
		at := make([]stream.ID, n)
		for i := range at {
			at[i] = randomID(rnd)
		}
		own := rnd.IntN(n)
		text := cursorOf(topics, own, at)
		c, err := stream.ParseCursor(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for i, topic := range topics {
			for _, first := range []bool{true, false} {
				if got, ok := c.Position(topic, first); !ok || got != at[i] {
					t.Fatalf("%s: position %d of %d is %v, %v, want %v", text, i, n, got, ok, at[i])
				}
			}
		}
		// A topic that was not there follows since, not somebody's position.
		if got, ok := c.Position("another/topic", true); ok {
			t.Fatalf("%s: a topic that the cursor does not name is at %v", text, got)
		}
		if len(text) > stream.MaxCursorLen || !strings.HasPrefix(text, at[own].String()+".") {
			t.Fatalf("%s has %d bytes", text, len(text))
		}
		if i := strings.IndexFunc(text, func(r rune) bool {
			return !strings.ContainsRune("0123456789-.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_", r)
		}); i >= 0 {
			t.Fatalf("%s has a %q", text, text[i])
		}
	}
}

func TestTheOrderOfTopicsChangesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	topics := randomTopics(rnd, 12)
	at := make([]stream.ID, len(topics))
	for i := range at {
		at[i] = randomID(rnd)
	}
	for range 200 {
		rnd.Shuffle(len(topics), func(i, j int) {
			topics[i], topics[j] = topics[j], topics[i]
			at[i], at[j] = at[j], at[i]
		})
		c, err := stream.ParseCursor(cursorOf(topics, 3, at))
		if err != nil {
			t.Fatal(err)
		}
		for i, topic := range topics {
			if got, ok := c.Position(topic, i == 0); !ok || got != at[i] {
				t.Fatalf("%s is at %v, %v, want %v", topic, got, ok, at[i])
			}
		}
	}
}

// The suffix is cached for as long as only the connection's current topic
// moves.
func TestTheSuffixDoesNotNameThePlainID(t *testing.T) {
	topics := []stream.Topic{"a", "b", "c"}
	v := stream.NewVector(topics)
	at := []stream.ID{id("5-0"), id("6-0"), id("7-0")}
	first := string(v.AppendSuffix(nil, 1, at))
	at[1] = id("99-99")
	if again := string(v.AppendSuffix(nil, 1, at)); again != first {
		t.Errorf("%s became %s", first, again)
	}
	at[0] = id("5-1")
	if again := string(v.AppendSuffix(nil, 1, at)); again == first {
		t.Error("another topic's move does not show")
	}
	if again := string(v.AppendSuffix(nil, 2, at)); again == first {
		t.Error("the suffix does not tell whose the plain id is")
	}
}

func TestACursorOfOneTopicIsThePlainID(t *testing.T) {
	c, err := stream.ParseCursor("1700000000000-3")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := c.Position("any", true); !ok || got != id("1700000000000-3") {
		t.Errorf("the first topic is at %v, %v", got, ok)
	}
	if got, ok := c.Position("any", false); ok {
		t.Errorf("another topic is at %v", got)
	}
	if got, ok := (stream.Cursor{}).Position("any", true); ok {
		t.Errorf("no cursor has position %v", got)
	}
}

func TestCursorsOf32TopicsWithinADayAreShort(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	longest := 0
	for round := range 500 {
		topics := randomTopics(rnd, 32)
		at := make([]stream.ID, 32)
		for i := range at {
			at[i] = stream.ID{Ms: base + rnd.Uint64N(86_400_000), Seq: rnd.Uint64N(128)}
			switch {
			case round == 0: // the worst
				at[i] = stream.ID{Ms: base + 86_400_000, Seq: 127}
			case rnd.IntN(20) == 0: // a topic that has had no entry
				at[i] = stream.ID{}
			}
		}
		if round == 0 {
			at[1] = stream.ID{Ms: base}
		}
		longest = max(longest, len(cursorOf(topics, 0, at)))
	}
	if longest > 400 {
		t.Errorf("%d bytes", longest)
	}
	t.Logf("at most %d bytes", longest)
}

func TestCursorsAreNeverLongerThanTheLimit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	extremes := []stream.ID{stream.MaxID, {Ms: math.MaxUint64}, {Ms: math.MaxUint64 - 1, Seq: math.MaxUint64}, {Ms: 1 << 63, Seq: 1 << 63}, {Seq: math.MaxUint64}, {Seq: 1}, {Ms: 1}, {}}
	longest := 0
	for range 1500 {
		topics := randomTopics(rnd, stream.MaxCursorTopics)
		at := make([]stream.ID, len(topics))
		kind := rnd.IntN(len(extremes))
		for i := range at {
			if at[i] = extremes[kind]; rnd.IntN(10) == 0 {
				at[i] = extremes[rnd.IntN(len(extremes))]
			}
		}
		text := cursorOf(topics, rnd.IntN(len(at)), at)
		if _, err := stream.ParseCursor(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		longest = max(longest, len(text))
	}
	if longest > stream.MaxCursorLen {
		t.Errorf("%d bytes", longest)
	}
	t.Logf("at most %d bytes", longest)
}

func TestWhatTheGatewayDidNotWriteIsNoCursor(t *testing.T) {
	good := cursorOf([]stream.Topic{"a", "b", "c"}, 0, []stream.ID{id("5-0"), id("6-1"), id("7-0")})
	if _, err := stream.ParseCursor(good); err != nil {
		t.Fatal(err)
	}
	bad := []string{
		"", ".", "x", "1", "1-", "-1", "01-0", "1-0 ", "1-0,2-0", "1-0.", "1-0.A", "1-0.AAAA", "1-0.!!!!!!!!", "1-0.AAAAAAA=", "1-0.AAAAAAA==", "1-0..AAAAAAAA",
		"1-0." + strings.Repeat("A", 5), // not whole bytes
		good + "=", good + "\n", " " + good, good + "A", strings.Replace(good, ".", ",", 1), strings.Replace(good, ".", "/", 1),
		good + strings.Repeat("A", stream.MaxCursorLen),
		"1-0." + strings.Repeat("_", 12),          // a base beyond 64 bits
		"1-0.AAAAAAAA" + strings.Repeat("A", 200), // more topics than there can be
	}
	for i := strings.IndexByte(good, '.') + 1; i < len(good); i++ {
		if cut := good[:i]; len(cut)%4 != 0 {
			bad = append(bad, cut[:len(cut)-1]+"\x00")
		}
	}
	for _, text := range bad {
		if c, err := stream.ParseCursor(text); err != stream.ErrCursor {
			t.Errorf("%q was read as %+v, %v", text, c, err)
		}
	}
}
