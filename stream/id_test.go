package stream_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

const maxText = "18446744073709551615"

func TestParseIDTakesTheFormThatRedisPrints(t *testing.T) {
	for text, want := range map[string]stream.ID{
		"0-0":                     {},
		"0-1":                     {Seq: 1},
		"1700000000000-0":         {Ms: 1700000000000},
		"10-20":                   {Ms: 10, Seq: 20},
		maxText + "-" + maxText:   stream.MaxID,
		"9-" + maxText:            {Ms: 9, Seq: math.MaxUint64},
		"18446744073709551614-10": {Ms: math.MaxUint64 - 1, Seq: 10},
	} {
		got, err := stream.ParseID(text)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
		if got.String() != text || string(got.AppendTo([]byte("x"))) != "x"+text {
			t.Errorf("%s is written as %s", text, got)
		}
		if len(text) > stream.MaxIDLen {
			t.Errorf("%s is longer than MaxIDLen", text)
		}
	}
}

func TestParseIDRefusesEverythingElse(t *testing.T) {
	for _, text := range []string{
		"", "-", "0", "1-", "-1", "1-2-3", "01-0", "1-00", "00-1", "+1-0", "1-+0", "-1-0", "1--0", " 1-0", "1-0 ", "1 -0",
		"1.0-0", "1_0-0", "0x1-0", "1e3-0", "a-b", "1-a", "*", "1-*", "$", "+", "١-0", "1−0", "1-0\x00", "1-0\n",
		"18446744073709551616-0", "0-18446744073709551616", "99999999999999999999-0", "100000000000000000000-0",
		strings.Repeat("1", 1000) + "-0", maxText + "-" + maxText + "0",
	} {
		if id, err := stream.ParseID(text); err == nil {
			t.Errorf("%q was read as %v", text, id)
		}
	}
}

func TestIDsAreOrderedByTimeThenSequence(t *testing.T) {
	ordered := []stream.ID{{}, {Seq: 1}, {Seq: math.MaxUint64}, {Ms: 1}, {Ms: 1, Seq: 1}, {Ms: 2}, {Ms: 10}, {Ms: math.MaxUint64}, stream.MaxID}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i != j {
				want = 1
				if i < j {
					want = -1
				}
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v compared with %v is %d", a, b, got)
			}
			if a.Less(b) != (want < 0) {
				t.Errorf("%v less than %v is %v", a, b, a.Less(b))
			}
			if got := stream.MinID(a, b); got != ordered[min(i, j)] {
				t.Errorf("the lesser of %v and %v is %v", a, b, got)
			}
		}
	}
	if !slices.IsSortedFunc(ordered, stream.ID.Compare) {
		t.Error("Compare does not sort")
	}
}

func TestNeighboursOfIDs(t *testing.T) {
	for _, pair := range [][2]string{
		{"0-0", "0-1"}, {"5-6", "5-7"}, {"5-" + maxText, "6-0"}, {maxText + "-18446744073709551614", maxText + "-" + maxText},
	} {
		a, b := id(pair[0]), id(pair[1])
		if a.Next() != b || b.Prev() != a {
			t.Errorf("after %v comes %v, before %v is %v", a, a.Next(), b, b.Prev())
		}
	}
	if (stream.ID{}).Prev() != (stream.ID{}) || stream.MaxID.Next() != stream.MaxID {
		t.Error("the ends have neighbours")
	}
	if !(stream.ID{}).IsZero() || (stream.ID{Seq: 1}).IsZero() || (stream.ID{Ms: 1}).IsZero() {
		t.Error("IsZero")
	}
}

func TestIDsStandInJSONAsText(t *testing.T) {
	b, err := json.Marshal(map[string]stream.ID{"id": {Ms: 1, Seq: 2}})
	if err != nil || string(b) != `{"id":"1-2"}` {
		t.Errorf("%s, %v", b, err)
	}
	var back map[string]stream.ID
	if err := json.Unmarshal(b, &back); err != nil || back["id"] != (stream.ID{Ms: 1, Seq: 2}) {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"id":"1"}`), &back); err == nil {
		t.Error("half an id was read")
	}
}
