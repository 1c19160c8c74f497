package redisstream

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/stream"
)

const (
	// maxPage keeps the count that is sent to Redis within its bounds.
	maxPage = math.MaxInt32

	// txKeys is how many keys are judged in one transaction. Nothing else runs
	// in Redis meanwhile.
	txKeys = 64

	// txParallel is how many transactions run at a time in Cluster, where each
	// is of one key.
	txParallel = 16
)

// Read returns the entries of a stream after the position at and not after
// upTo, at most limit (at least 1), and what became of the history after at.
// If at is beyond upTo the page is empty and contiguous.
//
// It takes one round trip if the entry at the position is there, else two.
// Errors: *stream.WrongTypeError, those of the connection.
func Read(ctx context.Context, rdb redis.UniversalClient, key string, at, upTo stream.ID, limit int) (stream.Page, error) {
	r := read{key: key, at: at, upTo: upTo, limit: min(max(limit, 1), maxPage)}
	if upTo.Less(at) {
		return stream.Page{Start: at}, nil
	}
	if !at.IsZero() { // no entry can have the id 0-0
		cmd := r.xrange(ctx)
		entries, err := entriesOf(cmd, rdb.Process(ctx, cmd))
		if err != nil {
			return stream.Page{}, keyError(key, err)
		}
		if p, ok := r.proven(entries); ok {
			return p, nil
		}
	}
	res := judge(ctx, rdb, []read{r})
	return res[0].Page, res[0].Err
}

// read is one inclusive read of one stream.
type read struct {
	key      string
	at, upTo stream.ID
	limit    int
}

// xrange asks for the entry at the position, limit entries after it, and one
// more to tell whether the page is the last.
func (r read) xrange(ctx context.Context) *redis.Cmd {
	return redis.NewCmd(ctx, "xrange", r.key, r.at.String(), r.upTo.String(), "count", r.limit+2)
}

// proven returns the page of entries read from r.at on, if the first of them
// proves that the history is contiguous.
func (r read) proven(entries []stream.Entry) (stream.Page, bool) {
	if len(entries) == 0 || entries[0].ID != r.at {
		return stream.Page{}, false
	}
	return r.page(stream.Contiguous, r.at, entries[1:]), true
}

// judged returns the page of entries read from r.at on, in the transaction
// that info is from.
func (r read) judged(entries []stream.Entry, info stream.Info) stream.Page {
	if p, ok := r.proven(entries); ok {
		return p
	}
	switch v := stream.Resume(r.at, info); v {
	case stream.Gap:
		return r.page(v, gapEnd(r.at, info), entries)
	case stream.Reset:
		return r.page(v, stream.Start(r.at, info), entries)
	default:
		return r.page(v, r.at, entries)
	}
}

func (r read) page(v stream.Verdict, start stream.ID, entries []stream.Entry) stream.Page {
	p := stream.Page{Verdict: v, Start: start, Entries: entries}
	if len(entries) > r.limit {
		p.Entries, p.More = entries[:r.limit:r.limit], true
	}
	return p
}

// gapEnd is where a gap after at ends: before the first entry that is left, or
// at the end of a history of which nothing is left. It is at itself where the
// gap is a doubt, because the server keeps no counters.
func gapEnd(at stream.ID, info stream.Info) stream.ID {
	end := info.LastGenerated
	if info.Length > 0 {
		end = info.First.Prev()
	}
	if end.Less(at) {
		return at
	}
	return end
}

// judge reads the streams in transactions with XINFO STREAM and applies the
// resume rule.
func judge(ctx context.Context, rdb redis.UniversalClient, reads []read) []TailResult {
	out := make([]TailResult, len(reads))
	if _, ok := rdb.(*redis.ClusterClient); ok {
		// A transaction cannot span slots.
		var wg sync.WaitGroup
		turn := make(chan struct{}, txParallel)
		for i := range reads {
			turn <- struct{}{}
			wg.Go(func() {
				judgeTx(ctx, rdb, reads[i:i+1], out[i:i+1], false)
				<-turn
			})
		}
		wg.Wait()
		return out
	}
	for i := 0; i < len(reads); i += txKeys {
		end := min(i+txKeys, len(reads))
		judgeTx(ctx, rdb, reads[i:end], out[i:end], false)
	}
	return out
}

// judgeTx judges reads in one transaction. bounds is set for the second go with
// a server whose XINFO STREAM does not tell the first and the last entry.
func judgeTx(ctx context.Context, rdb redis.UniversalClient, reads []read, out []TailResult, bounds bool) {
	entries := make([]*redis.Cmd, len(reads))
	infos := make([]*infoCmds, len(reads))
	_, txErr := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		for i, r := range reads {
			entries[i] = r.xrange(ctx)
			_ = tx.Process(ctx, entries[i])
			infos[i] = askInfo(ctx, tx, r.key, bounds)
		}
		return nil
	})
	for i, r := range reads {
		info, err := infos[i].info(txErr)
		var found []stream.Entry
		if err == nil {
			found, err = entriesOf(entries[i], txErr)
		}
		switch {
		case errors.Is(err, errNoBounds) && !bounds:
			judgeTx(ctx, rdb, reads[i:i+1], out[i:i+1], true)
		case err != nil:
			out[i] = TailResult{Err: keyError(r.key, err)}
		default:
			out[i] = TailResult{Page: r.judged(found, info)}
		}
	}
}

// replyOf returns what a command got. One that was not carried out and has no
// error of its own has that of its pipeline.
func replyOf(cmd *redis.Cmd, pipeErr error) (any, error) {
	v, err := cmd.Result()
	if err == nil && v == nil {
		err = pipeErr
	}
	return v, err
}

func entriesOf(cmd *redis.Cmd, pipeErr error) ([]stream.Entry, error) {
	v, err := replyOf(cmd, pipeErr)
	if err != nil {
		return nil, err
	}
	return parseEntries(v)
}
