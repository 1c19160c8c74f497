package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/internal/embedded"
	"github.com/ssegateway/sse-gateway/internal/redistest"
)

// histories are commands, one a line, that Redis and the embedded one must
// answer alike, and announce alike.
var histories = map[string]string{
	"append and read": `
		XADD s 1-1 a 1 b 2 a 3
		XADD s 5 a 1
		XADD s 5-* a 1
		XADD s 5-1 a 1
		XADD s 4-9 a 1
		XADD s 4-* a 1
		XADD s 0-0 a 1
		XADD s nonsense a 1
		XADD s 6-x a 1
		XLEN s
		TYPE s
		EXISTS s t
		XRANGE s - +
		XRANGE s 5 5
		XRANGE s (5-0 + COUNT 1
		XREVRANGE s + - COUNT 2
		XREAD COUNT 1 STREAMS s 1-1
		XREAD COUNT 2 STREAMS s none 0 0
		XREAD STREAMS s 9-9
		XINFO STREAM s`,
	"no stream": `
		XLEN s
		XRANGE s - +
		XINFO STREAM s
		XDEL s 1-1
		XTRIM s MAXLEN 0
		DEL s
		XADD s NOMKSTREAM 1-1 a 1
		EXISTS s`,
	"trimming": `
		XADD s 1-1 a 1
		XADD s 2-1 a 1
		XADD s 3-1 a 1
		XADD s MAXLEN 2 4-1 a 1
		XINFO STREAM s
		XADD s MAXLEN = 1 5-1 a 1
		XADD s MAXLEN ~ 1000 6-1 a 1
		XADD s MAXLEN ~ 1000 LIMIT 10 7-1 a 1
		XADD s MINID 6 8-1 a 1
		XADD s MINID = 6-2 NOMKSTREAM 9-1 a 1
		XINFO STREAM s
		XTRIM s MAXLEN 2
		XTRIM s MINID 9
		XTRIM s MINID 9
		XTRIM s MAXLEN = 0
		XINFO STREAM s
		XADD s 8-1 a 1
		XADD s 9-1 a 1
		XADD s 10-1 a 1
		XINFO STREAM s
		XADD s MAXLEN 0 11-1 a 1
		XINFO STREAM s`,
	"deleting": `
		XADD s 1-1 a 1
		XADD s 2-1 a 1
		XADD s 3-1 a 1
		XADD s 4-1 a 1
		XDEL s 3-1
		XINFO STREAM s
		XDEL s 2-1 9-9 7
		XINFO STREAM s
		XDEL s 8-8
		XDEL s 4-1
		XINFO STREAM s
		XADD s 4-1 a 1
		XADD s 3-5 a 1
		XADD s 4-2 a 1
		XINFO STREAM s
		XDEL s 1-1 4-2
		XINFO STREAM s`,
	"the key goes": `
		XADD s 5-1 a 1
		XADD s MAXLEN 1 6-1 a 1
		XDEL s 6-1
		DEL s none
		XADD s 1-1 a 1
		XINFO STREAM s
		XADD s MAXLEN 1 2-1 a 1
		UNLINK s
		XADD s 1-1 a 1
		XINFO STREAM s
		XADD s MAXLEN 1 2-1 a 1
		RENAME s t
		XINFO STREAM t
		EXISTS s
		XADD s 1-1 a 1
		XINFO STREAM s
		RENAMENX s t
		RENAMENX s u
		XINFO STREAM u
		SET u x
		XADD u 1-1 a 1
		DEL u
		XADD u 1-1 a 1
		XINFO STREAM u
		XADD t MAXLEN 1 3-1 a 1
		FLUSHDB
		XADD t 1-1 a 1
		XINFO STREAM t
		FLUSHALL
		XADD t 1-1 a 1
		XINFO STREAM t`,
	"transactions": `
		XADD s 1-1 a 1
		MULTI
		XADD s 2-1 a 1
		XADD s MAXLEN 1 3-1 a 1
		XDEL s 2-1
		XINFO STREAM s
		XADD t 1-1 a 1
		XRANGE s - +
		EXEC
		XINFO STREAM s
		XINFO STREAM t
		MULTI
		XADD s 9-1 a 1
		DISCARD
		XINFO STREAM s
		EXEC
		MULTI
		XADD s 9-1 a
		XADD s 9-1 a 1
		EXEC
		XINFO STREAM s
		MULTI
		DEL s
		XADD s 1-1 a 1
		DEL none
		EXEC
		XINFO STREAM s
		MULTI
		INCR s
		XADD s 2-2 a 1
		XINFO STREAM none
		PING
		EXEC
		WATCH s
		XADD s 3-3 a 1
		MULTI
		XADD s 4-4 a 1
		EXEC
		XINFO STREAM s`,
	"databases": `
		XADD s 1-1 a 1
		SELECT 3
		XADD s 2-1 a 1
		XADD s MAXLEN 1 3-1 a 1
		XINFO STREAM s
		SELECT 0
		XINFO STREAM s
		MULTI
		SELECT 3
		XADD s 4-1 a 1
		EXEC
		XINFO STREAM s
		SELECT 0
		XINFO STREAM s
		SELECT 3
		MULTI
		EVAL return(redis.call('XADD',KEYS[1],ARGV[1],'a','1')) 1 s 5-1
		EXEC
		EVAL return(redis.call('XADD',KEYS[1],ARGV[1],'a','1')) 1 s 6-1
		FLUSHDB
		SELECT 0
		XINFO STREAM s`,
	"scripts": `
		EVAL return(redis.call('XADD',KEYS[1],ARGV[1],'a','1')) 1 s 1-1
		EVAL return(redis.call('XADD',KEYS[1],ARGV[1],'a','1')) 1 s 1-1
		EVAL redis.call('XADD',KEYS[1],'MAXLEN','1',ARGV[1],'a','1')return(redis.call('XLEN',KEYS[1])) 1 s 2-1
		XINFO STREAM s
		EVAL redis.call('XDEL',KEYS[1],ARGV[1])return(redis.call('XINFO','STREAM',KEYS[1])[2]) 1 s 2-1
		XINFO STREAM s
		MULTI
		EVAL return(redis.call('XADD',KEYS[1],ARGV[1],'a','1')) 1 s 3-1
		EXEC
		XINFO STREAM s
		EVAL redis.call('DEL',KEYS[1])redis.call('XADD',KEYS[1],ARGV[1],'a','1') 1 s 1-1
		XINFO STREAM s`,
	"other types": `
		SET k x
		XADD k 1-1 a 1
		XLEN k
		XLEN k
		XRANGE k - +
		XINFO STREAM k
		XDEL k 1-1
		XTRIM k MAXLEN 1
		XADD s 1-1 a 1
		XREAD STREAMS s k 0 0
		XREAD STREAMS s none 0 0
		TYPE k
		GET k`,
	"mistakes": `
		XADD
		XADD s
		XADD s *
		XADD s * a
		XADD s 1-1 a 1 b
		XADD s MAXLEN
		XADD s MAXLEN ~
		XADD s MAXLEN ~ 10
		XADD s MAXLEN ~ 10 *
		XADD s MAXLEN ~ x * a 1
		XADD s MAXLEN -1 * a 1
		XADD s MAXLEN 10 LIMIT 1 * a 1
		XADD s MAXLEN ~ 10 LIMIT x * a 1
		XADD s MAXLEN 1 MINID 1 * a 1
		XADD s MINID x * a 1
		XADD s NOMKSTREAM
		XTRIM s
		XTRIM s MAXLEN
		XTRIM s MAXLEN ~
		XTRIM s MAXLEN -1
		XTRIM s MAXLEN x
		XTRIM s LENGTH 1
		XTRIM s MAXLEN 1 LIMIT 1
		XTRIM s MAXLEN 1 more
		XTRIM s MINID x
		XDEL s
		DEL
		XINFO STREAM
		XREAD STREAMS s
		EXISTS s`,
	"plain things": `
		PING
		ECHO x
		SET k v
		GET k
		EXPIRE k 100
		KEYS *
		PUBLISH c x
		CONFIG GET none-such
		CLIENT TRACKING
		DEL k`,
}

// errorsDiffer are commands whose error text may be another; that there is one
// is compared.
func errorsDiffer(line string) bool {
	for _, p := range []string{"XADD s MAXLEN", "XADD s MINID", "XADD s NOMKSTREAM", "XTRIM", "CLIENT", "XREAD STREAMS s", "XINFO STREAM", "EVAL", "EXEC", "XDEL", "DEL", "MULTI"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}

func TestTheEmbeddedServerAnswersLikeRedis(t *testing.T) {
	for _, proto := range []int{2, 3} {
		real := redistest.Start(t, "--notify-keyspace-events", "Kgxt").Addr
		built := start(t).Addr()
		for name, history := range histories {
			t.Run(fmt.Sprintf("%s/RESP%d", name, proto), func(t *testing.T) {
				want, wantEvents := play(t, real, proto, history)
				got, gotEvents := play(t, built, proto, history)
				for i, w := range want {
					line := strings.SplitN(w, "\n", 2)[0]
					if got[i] == w || errorsDiffer(line) && strings.Contains(w, "\nERR ") && strings.Contains(got[i], "\nERR ") {
						continue
					}
					t.Errorf("embedded: %s\nRedis:    %s", got[i], w)
				}
				if !slices.Equal(gotEvents, wantEvents) {
					t.Errorf("events:\nembedded: %q\nRedis:    %q", gotEvents, wantEvents)
				}
			})
		}
	}
}

// play sends commands on one connection and returns what they got, and the
// keyspace notifications that came of them.
func play(t *testing.T, addr string, proto int, history string) (replies, events []string) {
	t.Helper()
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, Protocol: proto})
	defer func() { _ = rdb.Close() }()
	if err := rdb.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	sub := rdb.PSubscribe(ctx, "__keyspace@*")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	conn := rdb.Conn()
	defer func() { _ = conn.Close() }()
	for line := range strings.Lines(history) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		var args []any
		for _, f := range strings.Fields(line) {
			args = append(args, f)
		}
		v, err := conn.Do(ctx, args...).Result()
		if m, ok := v.(map[any]any); ok && args[0] == "XREAD" {
			v = pairs(m) // as RESP2 has it; clients take both
		}
		text := show(v)
		if err != nil && !errors.Is(err, redis.Nil) {
			text = "ERR " + err.Error()
		}
		replies = append(replies, line+"\n"+text)
	}
	// The end mark comes after everything before it.
	if err := conn.Process(ctx, redis.NewCmd(ctx, "publish", "__keyspace@end", "end")); err != nil {
		t.Fatal(err)
	}
	for {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		m, err := sub.ReceiveMessage(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if m.Payload == "end" {
			return replies, events
		}
		if m.Payload != "set" && m.Payload != "expire" {
			events = append(events, m.Channel+" "+m.Payload)
		}
	}
}

// show writes a reply, maps and flat lists of XINFO alike, without what says
// how Redis stores a stream.
func show(v any) string {
	switch v := v.(type) {
	case map[any]any:
		var parts []string
		for k, e := range v {
			if !strings.HasPrefix(fmt.Sprint(k), "radix-tree") {
				parts = append(parts, fmt.Sprint(k)+": "+show(e))
			}
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		if len(v) > 0 && v[0] == "length" {
			m := make(map[any]any)
			for i := 0; i+1 < len(v); i += 2 {
				m[v[i]] = v[i+1]
			}
			return show(m)
		}
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = show(e)
		}
		return "[" + strings.Join(parts, " ") + "]"
	case error:
		return "ERR"
	}
	return fmt.Sprintf("%v", v)
}

func pairs(m map[any]any) (list []any) {
	for k, v := range m {
		list = append(list, []any{k, v})
	}
	return list
}

func start(t testing.TB) *embedded.Server {
	t.Helper()
	s, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
