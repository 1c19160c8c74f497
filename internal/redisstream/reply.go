package redisstream

import (
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/stream"
)

// go-redis' own types for entries are maps, which lose the order of fields
// and all but one of those with the same name. So commands are made with
// redis.NewCmd, and the replies taken apart here. RESP2 and RESP3 differ:
// where RESP3 has a map, RESP2 has a flat list of keys and values, or for
// XREAD a list of pairs.

// replyError is a reply of another shape than the command has.
type replyError struct {
	what string
	got  any
}

func (e *replyError) Error() string {
	return fmt.Sprintf("redisstream: unexpected %s in a reply: %T", e.what, e.got)
}

// parseEntries reads [[id, [name, value, …]], …].
func parseEntries(v any) ([]stream.Entry, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, &replyError{"entries", v}
	}
	if len(list) == 0 {
		return nil, nil
	}
	entries := make([]stream.Entry, len(list))
	for i, e := range list {
		var err error
		if entries[i], err = parseEntry(e); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// parseEntry reads [id, [name, value, …]]. Entries of Redis 7 and later have a
// second nil element if they are gone; none of the commands here returns such.
func parseEntry(v any) (stream.Entry, error) {
	pair, ok := v.([]any)
	if !ok || len(pair) != 2 {
		return stream.Entry{}, &replyError{"entry", v}
	}
	id, err := parseID(pair[0])
	if err != nil {
		return stream.Entry{}, err
	}
	list, ok := pair[1].([]any)
	if !ok {
		return stream.Entry{}, &replyError{"fields", pair[1]}
	}
	fields := make([]string, len(list))
	for i, f := range list {
		if fields[i], ok = f.(string); !ok {
			return stream.Entry{}, &replyError{"field", f}
		}
	}
	return stream.Entry{ID: id, Fields: fields}, nil
}

func parseID(v any) (stream.ID, error) {
	s, ok := v.(string)
	if !ok {
		return stream.ID{}, &replyError{"id", v}
	}
	return stream.ParseID(s)
}

// parseXRead reads [[key, entries], …] or {key: entries, …}. No reply at all
// means that no stream has entries.
func parseXRead(v any) (map[string][]stream.Entry, error) {
	out := make(map[string][]stream.Entry)
	put := func(key, val any) error {
		name, ok := key.(string)
		if !ok {
			return &replyError{"key", key}
		}
		entries, err := parseEntries(val)
		out[name] = entries
		return err
	}
	switch v := v.(type) {
	case nil:
	case map[any]any:
		for key, val := range v {
			if err := put(key, val); err != nil {
				return nil, err
			}
		}
	case []any:
		for _, e := range v {
			pair, ok := e.([]any)
			if !ok || len(pair) != 2 {
				return nil, &replyError{"stream", e}
			}
			if err := put(pair[0], pair[1]); err != nil {
				return nil, err
			}
		}
	default:
		return nil, &replyError{"streams", v}
	}
	return out, nil
}

// parseInfo reads the reply of XINFO STREAM. bounds is false if the server did
// not say which entries are the first and the last.
func parseInfo(v any) (info stream.Info, bounds bool, err error) {
	info.Exists = true
	var added, maxDeleted, first, last bool
	err = eachPair(v, func(key string, v any) error {
		var err error
		switch key {
		case "length":
			info.Length, err = parseCount(v)
		case "last-generated-id":
			info.LastGenerated, err = parseID(v)
		case "entries-added":
			info.Added, err = parseCount(v)
			added = true
		case "max-deleted-entry-id":
			info.MaxDeleted, err = parseID(v)
			maxDeleted = true
		case "first-entry":
			first = true
			if v != nil {
				var e stream.Entry
				e, err = parseEntry(v)
				info.First = e.ID
			}
		case "last-entry":
			last = true
			if v != nil {
				var e stream.Entry
				e, err = parseEntry(v)
				info.Last, info.Closed = e.ID, closes(e)
			}
		}
		return err
	})
	info.Counters = added && maxDeleted
	return info, first && last, err
}

func eachPair(v any, fn func(key string, v any) error) error {
	switch v := v.(type) {
	case map[any]any:
		for k, val := range v {
			key, ok := k.(string)
			if !ok {
				return &replyError{"key", k}
			}
			if err := fn(key, val); err != nil {
				return err
			}
		}
		return nil
	case []any:
		for i := 0; i+1 < len(v); i += 2 {
			key, ok := v[i].(string)
			if !ok {
				return &replyError{"key", v[i]}
			}
			if err := fn(key, v[i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	return &replyError{"map", v}
}

func parseCount(v any) (uint64, error) {
	switch v := v.(type) {
	case int64:
		if v >= 0 {
			return uint64(v), nil
		}
	case string:
		return strconv.ParseUint(v, 10, 64)
	}
	return 0, &replyError{"count", v}
}

// closes reports whether an entry ends its topic, as the frame made of it
// will say.
func closes(e stream.Entry) bool { return stream.Encode(e, max(e.Size(), 1)).Close }

// keyError gives the error of a command on one key the type that callers look
// for.
func keyError(key string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return &stream.WrongTypeError{Key: key}
	}
	return err
}

// noSuchKey reports whether err is the answer of XINFO STREAM for a key that
// is not there.
func noSuchKey(err error) bool { return redis.HasErrorPrefix(err, "no such key") } // "ERR " is left off
