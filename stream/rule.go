package stream

// Info is what Redis knows of a stream apart from its entries: XINFO STREAM,
// asked in the transaction of the XRANGE that did not find an entry.
type Info struct {
	Exists        bool   // the key is there
	First         ID     // id of the first entry; 0-0 if there is none
	Last          ID     // id of the newest entry; 0-0 if there is none
	Closed        bool   // the newest entry closes the topic
	LastGenerated ID     // last-generated-id
	Length        uint64 // number of entries
	Counters      bool   // Added and MaxDeleted are known: Redis 7 and later
	Added         uint64 // entries-added: entries ever added
	MaxDeleted    ID     // max-deleted-entry-id; XDEL sets it, trimming does not
}

// Verdict is what became of the history after a position.
type Verdict uint8

const (
	// Contiguous: every entry after the position is still there, except
	// those that somebody deleted by id.
	Contiguous Verdict = iota
	// Gap: entries after the position were trimmed away.
	Gap
	// Reset: the position is not of this history; it was lost, restored from
	// an older copy or started anew.
	Reset
)

// String returns contiguous, gap or reset.
func (v Verdict) String() string {
	switch v {
	case Contiguous:
		return "contiguous"
	case Gap:
		return "gap"
	}
	return "reset"
}

// Resume is the resume rule for a position whose entry is absent. (If the
// entry is present, the history is contiguous and nothing else is asked.)
// Where Redis cannot tell, doubt is a gap.
func Resume(at ID, s Info) Verdict {
	switch {
	case !s.Exists:
		return okElse(at.IsZero(), Reset)
	case at == s.LastGenerated:
		return Contiguous
	case s.LastGenerated.Less(at):
		return Reset
	case at.IsZero():
		// Nothing was ever removed, or nothing could be before the first.
		return okElse(s.Counters && s.Added == s.Length || s.First == ID{Seq: 1}, Gap)
	case s.Length == 0, at.Less(s.First):
		return okElse(s.Length > 0 && at == s.First.Prev(), Gap)
	case !s.Counters:
		return Gap
	}
	return okElse(!s.MaxDeleted.Less(at), Reset)
}

func okElse(ok bool, v Verdict) Verdict {
	if ok {
		return Contiguous
	}
	return v
}

// Start returns the position after which delivery goes on once the rule has
// said Reset: the position itself if entries follow it, else the end of the
// history.
func Start(at ID, s Info) ID {
	switch {
	case !s.Exists:
		return ID{}
	case at.Less(s.Last):
		return at
	}
	return s.LastGenerated
}
