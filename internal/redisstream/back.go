package redisstream

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/stream"
)

// backEntries is how many entries Back reads at a time: the ids cannot be had
// without the rest of the entry.
const backEntries = 100

// Back counts back from a position: it returns the id of the nth newest of the
// entries at or before from, n at least 1, or how many there are if they are
// fewer, and 0-0. Errors are as of Info.
func Back(ctx context.Context, rdb redis.UniversalClient, key string, from stream.ID, n int) (id stream.ID, found int, err error) {
	for found < n {
		count := min(backEntries, n-found)
		cmd := redis.NewCmd(ctx, "xrevrange", key, from.String(), "-", "count", count)
		entries, err := entriesOf(cmd, rdb.Process(ctx, cmd))
		if err != nil {
			return stream.ID{}, 0, keyError(key, err)
		}
		found += len(entries)
		if len(entries) > 0 {
			id = entries[len(entries)-1].ID
		}
		if len(entries) < count || id.Prev().IsZero() {
			break
		}
		from = id.Prev()
	}
	if found < n {
		return stream.ID{}, found, nil
	}
	return id, found, nil
}
