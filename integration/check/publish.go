package check

// Publication is one attempt to publish. No two have the same data.
type Publication struct {
	By    string // the publisher
	Topic string
	Data  string
	Acked bool   // the answer came; if not, the event may or may not be stored
	ID    string // from the answer; "" if it named none
}

// Publications compares attempts with the truth: what was acknowledged is
// stored once, under the id that was named, and nothing is stored twice.
// Entries that nobody attempted to publish are the caller's own.
func Publications(seed uint64, truth map[string][]Entry, attempts []Publication) []Violation {
	type place struct{ topic, data string }
	stored := make(map[place][]string)
	for topic, entries := range truth {
		for _, e := range entries {
			stored[place{topic, e.Data}] = append(stored[place{topic, e.Data}], e.ID)
		}
	}
	var found []Violation
	for _, a := range attempts {
		ids := stored[place{a.Topic, a.Data}]
		add := func(k Kind, id, detail string) {
			found = append(found, Violation{seed, k, a.By, a.Topic, id, 0, detail})
		}
		switch {
		case len(ids) > 1:
			add(StoredMore, ids[1], "the same publication is also "+ids[0]+": "+quote(Entry{Data: a.Data}))
		case a.Acked && len(ids) == 0:
			add(Unacked, a.ID, "nothing of the topic has this data: "+quote(Entry{Data: a.Data}))
		case a.Acked && a.ID != "" && a.ID != ids[0]:
			add(Altered, ids[0], "the publisher was told that the id is "+a.ID)
		}
	}
	return found
}
