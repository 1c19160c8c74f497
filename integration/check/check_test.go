package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const seed = 4711

// world is three topics of 20 entries, and two clients that received them
// faultlessly: one from the beginning of two topics, with a reconnect, one of
// the third topic from its 11th entry on.
func world() (map[string][]Entry, []Client) {
	truth := make(map[string][]Entry)
	for _, topic := range []string{"a", "b", "c"} {
		for i := range 20 {
			truth[topic] = append(truth[topic], Entry{ID: fmt.Sprintf("%d-0", 100+i), Event: "e", Data: fmt.Sprint(topic, i)})
		}
	}
	both := Client{Name: "both", After: map[string]string{"a": Beginning, "b": Beginning}}
	for i := range 20 {
		for _, topic := range []string{"b", "a"} {
			both.Got = append(both.Got, Delivery{topic, 1 + i/10, truth[topic][i]})
		}
	}
	late := Client{Name: "late", After: map[string]string{"c": "109-0"}}
	for i := 10; i < 20; i++ {
		late.Got = append(late.Got, Delivery{"c", 1, truth["c"][i]})
	}
	return truth, []Client{both, late}
}

func TestFaultlessDeliveriesPass(t *testing.T) {
	truth, clients := world()
	if found := Deliveries(seed, truth, clients); len(found) > 0 {
		t.Errorf("violations where there are none: %v", found)
	}
}

func TestEveryFaultIsFound(t *testing.T) {
	// The fault is done to client "both" unless the case says otherwise.
	const i = 13 // a delivery of topic a: entry 106-0, on connection 1
	tests := []struct {
		name  string
		fault func(*Client)
		kind  Kind
		id    string
	}{
		{"one removed", func(c *Client) { c.Got = slices.Delete(c.Got, i, i+1) }, Lost, "106-0"},
		{"the first removed", func(c *Client) { c.Got = slices.Delete(c.Got, 1, 2) }, Lost, "100-0"},
		{"the last removed", func(c *Client) { c.Got = c.Got[:len(c.Got)-1] }, Lost, "119-0"},
		{"all removed", func(c *Client) { c.Got = nil }, Lost, "100-0"},
		{"one doubled at once", func(c *Client) { c.Got = slices.Insert(c.Got, i, c.Got[i]) }, Doubled, "106-0"},
		{"one doubled later", func(c *Client) { c.Got = append(c.Got, c.Got[i]) }, Doubled, "106-0"},
		{"two swapped", func(c *Client) { c.Got[i], c.Got[i+2] = c.Got[i+2], c.Got[i] }, OutOfOrder, "106-0"},
		{"data altered", func(c *Client) { c.Got[i].Data += " " }, Altered, "106-0"},
		{"data of another entry", func(c *Client) { c.Got[i].Data = c.Got[i+2].Data }, Altered, "106-0"},
		{"type altered", func(c *Client) { c.Got[i].Event = "" }, Altered, "106-0"},
		{"an entry that does not exist", func(c *Client) { c.Got[i].ID = "106-1" }, Foreign, "106-1"},
		{"an event of another topic", func(c *Client) { c.Got[i].Topic = "c" }, Foreign, "106-0"},
		{"a beginning that is no entry", func(c *Client) { c.After["a"] = "106-7" }, Foreign, "106-7"},
		{"a control event", func(c *Client) { c.Wrong = []Wrong{{2, "106-0", "gateway.gap"}} }, Unexpected, "106-0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			truth, clients := world()
			tt.fault(&clients[0])
			mustFind(t, Deliveries(seed, truth, clients), tt.kind, "both", tt.id)
		})
	}
	t.Run("an event from before the beginning", func(t *testing.T) {
		truth, clients := world()
		late := &clients[1]
		late.Got = slices.Insert(late.Got, 0, Delivery{"c", 1, truth["c"][9]})
		mustFind(t, Deliveries(seed, truth, clients), Foreign, "late", "109-0")
	})
	t.Run("a client that saw nothing of a topic that it follows", func(t *testing.T) {
		truth, clients := world()
		clients[1].After["a"] = "118-0"
		mustFind(t, Deliveries(seed, truth, clients), Lost, "late", "119-0")
	})
}

func TestOneFaultIsOneViolation(t *testing.T) {
	for name, fault := range map[string]func(*Client){
		"removed": func(c *Client) { c.Got = slices.Delete(c.Got, 13, 14) },
		"doubled": func(c *Client) { c.Got = slices.Insert(c.Got, 13, c.Got[13]) },
		"swapped": func(c *Client) { c.Got[13], c.Got[15] = c.Got[15], c.Got[13] },
	} {
		truth, clients := world()
		fault(&clients[0])
		if found := Deliveries(seed, truth, clients); len(found) != 1 {
			t.Errorf("%s: want one violation, got %v", name, found)
		}
	}
}

func TestPublicationsAreHeldToTheirAnswers(t *testing.T) {
	truth, _ := world()
	good := []Publication{
		{By: "p", Topic: "a", Data: "a3", Acked: true, ID: "103-0"},
		{By: "p", Topic: "a", Data: "a4", Acked: true},
		{By: "p", Topic: "a", Data: "a5"},
		{By: "p", Topic: "a", Data: "answer lost, not stored"},
	}
	if found := Publications(seed, truth, good); len(found) > 0 {
		t.Errorf("violations where there are none: %v", found)
	}
	t.Run("lost after the answer", func(t *testing.T) {
		bad := []Publication{{By: "p", Topic: "a", Data: "b3", Acked: true, ID: "103-0"}}
		mustFind(t, Publications(seed, truth, bad), Unacked, "p", "103-0")
	})
	t.Run("another id", func(t *testing.T) {
		bad := []Publication{{By: "p", Topic: "a", Data: "a3", Acked: true, ID: "104-0"}}
		mustFind(t, Publications(seed, truth, bad), Altered, "p", "103-0")
	})
	t.Run("stored twice", func(t *testing.T) {
		truth, _ := world()
		truth["a"] = append(truth["a"], Entry{ID: "120-0", Data: "a5"})
		mustFind(t, Publications(seed, truth, good), StoredMore, "p", "120-0")
	})
}

// mustFind asserts that there is a violation of the kind, and that it can be
// understood without looking at anything else.
func mustFind(t *testing.T, found []Violation, kind Kind, client, id string) {
	t.Helper()
	for _, v := range found {
		if v.Kind != kind || v.Client != client || v.ID != id {
			continue
		}
		for _, part := range []string{string(kind), client, v.Topic, id, fmt.Sprint(seed)} {
			if !strings.Contains(v.String(), part) {
				t.Errorf("message %q does not name %q", v, part)
			}
		}
		return
	}
	t.Errorf("no violation %q of client %s, id %s in %v", kind, client, id, found)
}
