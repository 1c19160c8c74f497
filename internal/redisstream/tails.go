package redisstream

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/stream"
)

// readKeys is how many keys one XREAD names.
const readKeys = 256

// TailRead asks for what follows a position at the end of a stream.
type TailRead struct {
	Key   string
	At    stream.ID
	Limit int // entries, at least 1
}

// TailResult is the outcome of one TailRead.
type TailResult struct {
	Page stream.Page
	Err  error // *stream.WrongTypeError, those of the connection
}

// ReadTails carries out many reads, each of another key, and returns their
// results in the same order. Usually that takes one round trip and one command
// for 256 keys; a second one judges the positions whose entry is not there, by
// the same rule as Read. What is wrong with one key is that key's error only.
//
// Nothing in a reply to XREAD tells an absent key from one that nothing was
// added to. A position 0-0 without entries is taken to be contiguous, where
// there are more than a few in the batch.
func ReadTails(ctx context.Context, rdb redis.UniversalClient, reads []TailRead) []TailResult {
	b := tailBatch{ctx: ctx, rdb: rdb, reads: make([]read, len(reads)), out: make([]TailResult, len(reads))}
	for i, r := range reads {
		b.reads[i] = read{key: r.Key, at: r.At, upTo: stream.MaxID, limit: min(max(r.Limit, 1), maxPage)}
	}
	_, cluster := rdb.(*redis.ClusterClient)
	b.xread(b.commands(cluster, b.new()))
	b.judge()
	return b.out
}

// fewNew is how many reads from 0-0 are judged without an XREAD before.
const fewNew = 4

// new returns the reads from 0-0, and puts them in doubt, if they are few. No
// entry can prove such a position, so whoever reads from it because of a
// topic's first entry would need a second round trip. Many are more likely
// topics that have no entry yet.
func (b *tailBatch) new() map[int]bool {
	var reads []int
	for i, r := range b.reads {
		if r.at.IsZero() {
			if reads = append(reads, i); len(reads) > fewNew {
				return nil
			}
		}
	}
	b.doubt = reads
	skip := make(map[int]bool, len(reads))
	for _, i := range reads {
		skip[i] = true
	}
	return skip
}

// tailBatch is a call of ReadTails under way.
type tailBatch struct {
	ctx   context.Context
	rdb   redis.UniversalClient
	reads []read
	out   []TailResult
	doubt []int // reads whose position's entry was not in the reply
}

// command is one XREAD of some of the batch's reads, given by index.
type command struct {
	reads []int
	cmd   *redis.Cmd
}

// commands divides the reads among XREADs. COUNT holds for each key of a
// command, so only reads of the same limit share one.
func (b *tailBatch) commands(single bool, skip map[int]bool) []command {
	var list []command
	byLimit := make(map[int][]int)
	var limits []int
	for i, r := range b.reads {
		if skip[i] {
			continue
		}
		if single {
			list = append(list, b.command([]int{i}))
			continue
		}
		if byLimit[r.limit] == nil {
			limits = append(limits, r.limit)
		}
		byLimit[r.limit] = append(byLimit[r.limit], i)
	}
	for _, limit := range limits {
		for all := byLimit[limit]; len(all) > 0; {
			n := min(readKeys, len(all))
			list = append(list, b.command(all[:n]))
			all = all[n:]
		}
	}
	return list
}

// command asks for what is after the predecessor of each position, which is
// the entry at the position and those after it.
func (b *tailBatch) command(reads []int) command {
	args := make([]any, 4, 4+2*len(reads))
	args[0], args[1], args[2], args[3] = "xread", "count", b.reads[reads[0]].limit+2, "streams"
	for _, i := range reads {
		args = append(args, b.reads[i].key)
	}
	for _, i := range reads {
		args = append(args, b.reads[i].at.Prev().String())
	}
	cmd := redis.NewCmd(b.ctx, args...)
	cmd.SetFirstKeyPos(4) // for the slot in Cluster
	return command{reads, cmd}
}

func (b *tailBatch) xread(list []command) {
	pipeErr := pipelined(b.ctx, b.rdb, func(i int) *redis.Cmd { return list[i].cmd }, len(list))
	var again []command
	for _, c := range list {
		v, err := replyOf(c.cmd, pipeErr)
		if errors.Is(err, redis.Nil) { // how Redis says that there are no entries
			v, err = nil, nil
		}
		var streams map[string][]stream.Entry
		if err == nil {
			streams, err = parseXRead(v)
		}
		if redis.HasErrorPrefix(err, "WRONGTYPE") && len(c.reads) > 1 {
			// It does not say which.
			for _, i := range c.reads {
				again = append(again, b.command([]int{i}))
			}
			continue
		}
		for _, i := range c.reads {
			if r := b.reads[i]; err != nil {
				b.out[i].Err = keyError(r.key, err)
			} else {
				b.take(i, streams[r.key])
			}
		}
	}
	if len(again) > 0 {
		b.xread(again)
	}
}

func (b *tailBatch) take(i int, entries []stream.Entry) {
	r := b.reads[i]
	p, ok := r.proven(entries)
	switch {
	case ok:
		b.out[i].Page = p
	case r.at.IsZero() && len(entries) == 0:
		b.out[i].Page = r.page(stream.Contiguous, r.at, nil)
	default:
		b.doubt = append(b.doubt, i)
	}
}

func (b *tailBatch) judge() {
	if len(b.doubt) == 0 {
		return
	}
	reads := make([]read, len(b.doubt))
	for n, i := range b.doubt {
		reads[n] = b.reads[i]
	}
	for n, r := range judge(b.ctx, b.rdb, reads) {
		b.out[b.doubt[n]] = r
	}
}
