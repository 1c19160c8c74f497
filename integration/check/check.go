// Package check compares what clients received with what Redis holds: every
// event, once, in order, unaltered, and nothing else. It does no input and no
// output, and shares no code with the gateway: ids are text to it, and their
// order is the order in which Redis lists them.
package check

import "fmt"

// Beginning is the position before every entry.
const Beginning = "0-0"

// Entry is an event: as Redis holds it, or as a client received it.
type Entry struct {
	ID    string // of the stream's entry
	Event string // type, "" if there is none
	Data  string
}

// Delivery is one event that a client received.
type Delivery struct {
	Topic      string // as the payload says
	Connection int    // the client's how manyth, from 1
	Entry
}

// Client is what one client was promised and what it received.
type Client struct {
	Name  string
	After map[string]string // every topic it follows, and the id after which its events begin
	Got   []Delivery        // in order of arrival, control events left out
	Wrong []Wrong           // what should not have come at all
}

// Wrong is something other than an event that a client should not have met: a
// control event, a refusal, a stream that begins without its first block.
type Wrong struct {
	Connection int
	ID         string
	What       string
}

// Kind says in what way the promise was broken.
type Kind string

// The ways to break the promise.
const (
	Lost       Kind = "lost"         // stored, and never delivered
	Doubled    Kind = "doubled"      // delivered before
	OutOfOrder Kind = "out of order" // delivered after a later one
	Altered    Kind = "altered"      // type or data are not those of the entry
	Foreign    Kind = "foreign"      // no entry of a topic that the client follows, or one from before its beginning
	Unexpected Kind = "unexpected"   // see Wrong
	Unacked    Kind = "acknowledged, but not stored"
	StoredMore Kind = "stored more than once"
)

// Violation is one breach of the promise. Seed makes the run happen again.
type Violation struct {
	Seed       uint64
	Kind       Kind
	Client     string
	Topic      string
	ID         string
	Connection int
	Detail     string
}

// String names everything that is known.
func (v Violation) String() string {
	return fmt.Sprintf("%s: client %s, topic %s, id %s, connection %d, seed %d: %s",
		v.Kind, v.Client, v.Topic, v.ID, v.Connection, v.Seed, v.Detail)
}

// Deliveries compares what each client got with the truth: all entries of
// each topic, in order. It returns nothing if the promise was kept.
func Deliveries(seed uint64, truth map[string][]Entry, clients []Client) []Violation {
	index := make(map[string]map[string]int, len(truth))
	for topic, entries := range truth {
		index[topic] = make(map[string]int, len(entries))
		for i, e := range entries {
			index[topic][e.ID] = i
		}
	}
	var all []Violation
	for _, c := range clients {
		w := walk{seed: seed, client: c, truth: truth, index: index}
		all = append(all, w.run()...)
	}
	return all
}

// walk follows one client's deliveries along the truth.
type walk struct {
	seed   uint64
	client Client
	truth  map[string][]Entry
	index  map[string]map[string]int
	found  []Violation
}

// progress is how far a client has come on one topic.
type progress struct {
	begin, next int
	seenOn      map[int]int // entry → connection that delivered it
}

func (w *walk) run() []Violation {
	for _, x := range w.client.Wrong {
		w.add(Unexpected, "", x.ID, x.Connection, x.What)
	}
	at := make(map[string]*progress, len(w.client.After))
	for topic, after := range w.client.After {
		begin, ok := w.index[topic][after]
		if ok {
			begin++
		} else if after != Beginning {
			w.add(Foreign, topic, after, 1, "the position in the first block is neither 0-0 nor the id of an entry")
			continue
		}
		at[topic] = &progress{begin: begin, next: begin, seenOn: make(map[int]int)}
	}
	for _, d := range w.client.Got {
		w.delivery(at[d.Topic], d)
	}
	for topic, p := range at {
		for i := p.begin; i < len(w.truth[topic]); i++ {
			if _, ok := p.seenOn[i]; !ok {
				e := w.truth[topic][i]
				w.add(Lost, topic, e.ID, 0, "never delivered: "+quote(e))
			}
		}
	}
	return w.found
}

func (w *walk) delivery(p *progress, d Delivery) {
	if p == nil {
		w.add(Foreign, d.Topic, d.ID, d.Connection, "the client does not follow this topic; it received "+quote(d.Entry))
		return
	}
	i, ok := w.index[d.Topic][d.ID]
	switch {
	case !ok:
		w.add(Foreign, d.Topic, d.ID, d.Connection, "the topic has no such entry; the client received "+quote(d.Entry))
		return
	case i < p.begin:
		w.add(Foreign, d.Topic, d.ID, d.Connection, "the entry is from before the client's beginning")
		return
	}
	if e := w.truth[d.Topic][i]; e != d.Entry {
		w.add(Altered, d.Topic, d.ID, d.Connection, fmt.Sprintf("stored as %s, received as %s", quote(e), quote(d.Entry)))
	}
	before, seen := p.seenOn[i]
	p.seenOn[i] = d.Connection
	switch {
	case seen:
		w.add(Doubled, d.Topic, d.ID, d.Connection, fmt.Sprintf("delivered on connection %d before", before))
	case i < p.next:
		w.add(OutOfOrder, d.Topic, d.ID, d.Connection, "delivered after "+w.truth[d.Topic][p.next-1].ID)
	default:
		p.next = i + 1
	}
}

func (w *walk) add(k Kind, topic, id string, connection int, detail string) {
	w.found = append(w.found, Violation{w.seed, k, w.client.Name, topic, id, connection, detail})
}

func quote(e Entry) string {
	const most = 120
	s := fmt.Sprintf("event %q data %q", e.Event, e.Data)
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}
