package stream

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
)

// colliding returns two topics with the same hash under salt 0.
func colliding(t testing.TB) (a, b Topic) {
	t.Helper()
	seen := make(map[[hashLen]byte]Topic)
	for i := range 1 << 20 {
		topic := Topic(fmt.Sprintf("topic/%d", i))
		h := hash(topic, 0)
		if other, ok := seen[h]; ok {
			return other, topic
		}
		seen[h] = topic
	}
	t.Fatal("no two topics collide")
	return "", ""
}

func TestTopicsOfOneConnectionThatCollideAreToldApart(t *testing.T) {
	a, b := colliding(t)
	for _, topics := range [][]Topic{{a, b}, {b, a}, {"x", a, "y", b}} {
		v := NewVector(topics)
		if v.salt == 0 {
			t.Fatalf("%s and %s share a hash, and the salt is still 0", a, b)
		}
		at := make([]ID, len(topics))
		for i := range at {
			at[i] = ID{Ms: uint64(1000 + i)}
		}
		for own := range topics {
			c, err := ParseCursor(string(v.AppendSuffix(at[own].AppendTo(nil), own, at)))
			if err != nil {
				t.Fatal(err)
			}
			for i, topic := range topics {
				if got, ok := c.Position(topic, false); !ok || got != at[i] {
					t.Errorf("%v, own %d: %s is at %v, %v, want %v", topics, own, topic, got, ok, at[i])
				}
			}
		}
	}
}

func TestHashesAreTheSameInEveryVersion(t *testing.T) {
	for topic, want := range map[Topic]string{"orders": "b9d5da", "orders/42": "ef8f28", "größe": "a1ea69"} {
		if got := fmt.Sprintf("%x", hash(topic, 0)); got != want {
			t.Errorf("%s: %s, want %s: cursors that clients hold would be lost", topic, got, want)
		}
	}
	if hash("orders", 0) == hash("orders", 1) {
		t.Error("the salt changes nothing")
	}
}

// encodeParsed writes a parsed cursor again.
func encodeParsed(c Cursor) string {
	b := c.plain.AppendTo(nil)
	if !c.vector {
		return string(b)
	}
	least := uint64(0)
	for i, k := range c.others {
		if i == 0 || k.id.Ms < least {
			least = k.id.Ms
		}
	}
	raw := append([]byte{c.salt}, c.own[:]...)
	raw = binary.AppendUvarint(raw, least)
	for _, k := range c.others {
		raw = append(raw, k.hash[:]...)
		raw = appendPosition(raw, least, k.id)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(b, cursorMark), raw))
}

func FuzzParseCursor(f *testing.F) {
	topics := []Topic{"a", "b", "c", "orders/1"}
	at := []ID{{Ms: 1_700_000_000_000}, {}, MaxID, {Ms: 1_700_000_000_100, Seq: 200}}
	v := NewVector(topics)
	for own := range topics {
		f.Add(string(v.AppendSuffix(at[own].AppendTo(nil), own, at)))
	}
	for _, s := range []string{"", "0-0", "5-6", "1-0.", "1-0.AQJKtMC8", "18446744073709551615-18446744073709551615.AAAAAAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err != nil {
			if err != ErrCursor {
				t.Fatalf("%q: %v", s, err)
			}
			for _, topic := range topics {
				if at, ok := c.Position(topic, true); ok {
					t.Fatalf("%q is no cursor, and %s is at %v", s, topic, at)
				}
			}
			return
		}
		again, err := ParseCursor(encodeParsed(c))
		if err != nil {
			if len(encodeParsed(c)) > MaxCursorLen {
				return // written shorter than the gateway writes
			}
			t.Fatalf("%q became %q: %v", s, encodeParsed(c), err)
		}
		if again.plain != c.plain || again.vector != c.vector || again.salt != c.salt || again.own != c.own || !slices.Equal(again.others, c.others) {
			t.Fatalf("%q is %+v, and after writing it again %+v", s, c, again)
		}
		for _, topic := range topics {
			for _, first := range []bool{true, false} {
				a, okA := c.Position(topic, first)
				b, okB := again.Position(topic, first)
				if a != b || okA != okB {
					t.Fatalf("%q: %s is at %v, %v, then at %v, %v", s, topic, a, okA, b, okB)
				}
			}
		}
	})
}
