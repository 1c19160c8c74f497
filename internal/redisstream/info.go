package redisstream

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/stream"
)

// Info returns all that Redis knows of a stream. A key that is not there is
// the zero Info. Errors: *stream.WrongTypeError, those of the connection.
func Info(ctx context.Context, rdb redis.UniversalClient, key string) (stream.Info, error) {
	info, err := readInfo(ctx, rdb, key, false)
	if errors.Is(err, errNoBounds) {
		info, err = readInfo(ctx, rdb, key, true)
	}
	return info, keyError(key, err)
}

func readInfo(ctx context.Context, rdb redis.UniversalClient, key string, bounds bool) (stream.Info, error) {
	var ask *infoCmds
	_, txErr := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		ask = askInfo(ctx, tx, key, bounds)
		return nil
	})
	return ask.info(txErr)
}

// errNoBounds is the answer of a server, a simulation of Redis, whose XINFO
// STREAM leaves out the first and the last entry. They are asked for apart
// then, and only then: each entry may be megabytes.
var errNoBounds = errors.New("redisstream: XINFO STREAM does not tell the first and the last entry")

// infoCmds are the commands that tell of a stream, in one transaction.
type infoCmds struct {
	xinfo       *redis.Cmd
	first, last *redis.Cmd // nil if XINFO is to say it
}

func askInfo(ctx context.Context, tx redis.Pipeliner, key string, bounds bool) *infoCmds {
	c := &infoCmds{xinfo: xinfo(ctx, key)}
	_ = tx.Process(ctx, c.xinfo)
	if bounds {
		c.first = redis.NewCmd(ctx, "xrange", key, "-", "+", "count", 1)
		c.last = newest(ctx, key)
		_ = tx.Process(ctx, c.first)
		_ = tx.Process(ctx, c.last)
	}
	return c
}

// info returns the outcome. The error is errNoBounds if the commands have to
// be sent again with bounds.
func (c *infoCmds) info(pipeErr error) (stream.Info, error) {
	v, err := replyOf(c.xinfo, pipeErr)
	if noSuchKey(err) {
		return stream.Info{}, nil
	}
	if err != nil {
		return stream.Info{}, err
	}
	info, bounds, err := parseInfo(v)
	switch {
	case err != nil || bounds:
		return info, err
	case c.first == nil:
		return stream.Info{}, errNoBounds
	}
	first, err := entriesOf(c.first, pipeErr)
	if err != nil {
		return stream.Info{}, err
	}
	last, err := entriesOf(c.last, pipeErr)
	if err != nil {
		return stream.Info{}, err
	}
	if len(first) > 0 && len(last) > 0 {
		info.First = first[0].ID
		info.Last, info.Closed = last[0].ID, closes(last[0])
	}
	return info, nil
}

func xinfo(ctx context.Context, key string) *redis.Cmd {
	cmd := redis.NewCmd(ctx, "xinfo", "stream", key)
	cmd.SetFirstKeyPos(2) // for the slot in Cluster
	return cmd
}

func newest(ctx context.Context, key string) *redis.Cmd {
	return redis.NewCmd(ctx, "xrevrange", key, "+", "-", "count", 1)
}

// Heads returns where the streams of keys end, in one round trip, or two if
// some are empty or absent: the result for keys[i] is infos[i] or errs[i].
//
// Of a stream with entries only Exists, Last, Closed and LastGenerated are
// set, the latter to the id of the newest entry. That may be below what Redis
// has as last-generated-id, if newer entries were deleted, but it is as good a
// position to begin at. Of an empty stream all is known.
// Errors are as of Info, for each key its own.
func Heads(ctx context.Context, rdb redis.UniversalClient, keys []string) (infos []stream.Info, errs []error) {
	infos, errs = make([]stream.Info, len(keys)), make([]error, len(keys))
	cmds := make([]*redis.Cmd, len(keys))
	pipeErr := pipelined(ctx, rdb, func(i int) *redis.Cmd {
		cmds[i] = newest(ctx, keys[i])
		return cmds[i]
	}, len(keys))
	var empty []int
	for i, key := range keys {
		entries, err := entriesOf(cmds[i], pipeErr)
		switch {
		case err != nil:
			errs[i] = keyError(key, err)
		case len(entries) == 0:
			empty = append(empty, i)
		default:
			id := entries[0].ID
			infos[i] = stream.Info{Exists: true, Last: id, LastGenerated: id, Closed: closes(entries[0])}
		}
	}
	asks := make([]*redis.Cmd, len(empty))
	pipeErr = pipelined(ctx, rdb, func(i int) *redis.Cmd {
		asks[i] = xinfo(ctx, keys[empty[i]])
		return asks[i]
	}, len(empty))
	for n, i := range empty {
		ask := infoCmds{xinfo: asks[n]}
		info, err := ask.info(pipeErr)
		if errors.Is(err, errNoBounds) {
			info, err = readInfo(ctx, rdb, keys[i], true)
		}
		infos[i], errs[i] = info, keyError(keys[i], err)
	}
	return infos, errs
}

// pipelined sends n commands in one round trip (one for each node, in
// Cluster). The error is that of the first command that failed.
func pipelined(ctx context.Context, rdb redis.UniversalClient, cmd func(i int) *redis.Cmd, n int) error {
	switch n {
	case 0:
		return nil
	case 1:
		return rdb.Process(ctx, cmd(0))
	}
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range n {
			_ = p.Process(ctx, cmd(i))
		}
		return nil
	})
	return err
}

// Append adds an entry and returns its id. Fields are name, value, name,
// value, …, at least one pair. With maxLen > 0 old entries are trimmed, so
// that about maxLen are left. An error that is not an answer of Redis leaves
// open whether the entry was added. Errors are as of Info.
func Append(ctx context.Context, rdb redis.UniversalClient, key string, maxLen int64, fields []string) (stream.ID, error) {
	args := make([]any, 0, 6+len(fields))
	args = append(args, "xadd", key)
	if maxLen > 0 {
		args = append(args, "maxlen", "~", maxLen)
	}
	args = append(args, "*")
	for _, f := range fields {
		args = append(args, f)
	}
	v, err := rdb.Do(ctx, args...).Result()
	if err != nil {
		return stream.ID{}, keyError(key, err)
	}
	return parseID(v)
}

// Time returns the clock of Redis; in Cluster, of one of its nodes.
func Time(ctx context.Context, rdb redis.UniversalClient) (time.Time, error) {
	return rdb.Time(ctx).Result()
}
