package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/internal/embedded"
	"github.com/ssegateway/sse-gateway/internal/redisstream"
	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// behaviours hold for every server.
var behaviours = []struct {
	name string
	test func(t *testing.T, rdb redis.UniversalClient)
}{
	{"read returns pages that say whether they are the last", testReadReturnsPagesThatSayWhetherTheyAreTheLast},
	{"read keeps fields in order and duplicates", testReadKeepsFieldsInOrderAndDuplicates},
	{"read judges a position without an entry", testReadJudgesAPositionWithoutAnEntry},
	{"read tails reads many keys each from its position", testReadTailsReadsManyKeysEachFromItsPosition},
	{"read tails sees what was trimmed between two reads", testReadTailsSeesWhatWasTrimmedBetweenTwoReads},
	{"a key of another type is its own error only", testAKeyOfAnotherTypeIsItsOwnErrorOnly},
	{"heads tells where streams end", testHeadsTellsWhereStreamsEnd},
	{"info tells all", testInfoTellsAll},
	{"append trims", testAppendTrims},
	{"newer tells where there is more", testNewerTellsWhereThereIsMore},
}

// servers are Redis in both protocols, a cluster of it, the one that is built
// in, and a simulation whose XINFO STREAM tells next to nothing.
var servers = map[string]func(t *testing.T) redis.UniversalClient{
	"RESP2": func(t *testing.T) redis.UniversalClient {
		return redistest.Start(t).Client(func(o *redis.Options) { o.Protocol = 2 })
	},
	"RESP3": func(t *testing.T) redis.UniversalClient {
		return redistest.Start(t).Client(func(o *redis.Options) { o.Protocol = 3 })
	},
	"cluster": func(t *testing.T) redis.UniversalClient {
		return redistest.ClusterClient(t, redistest.StartCluster(t, 2))
	},
	"embedded": func(t *testing.T) redis.UniversalClient {
		s, err := embedded.Start("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1})
		t.Cleanup(func() {
			_ = rdb.Close()
			_ = s.Close()
		})
		return rdb
	},
	"miniredis": func(t *testing.T) redis.UniversalClient {
		rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	},
}

func TestServers(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			rdb := start(t)
			for _, b := range behaviours {
				t.Run(b.name, func(t *testing.T) {
					flush(t, rdb)
					b.test(t, rdb)
				})
			}
		})
	}
}

func flush(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	ctx := context.Background()
	one := func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }
	var err error
	switch c := rdb.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, one)
	case *redis.Client:
		err = one(ctx, c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, rdb redis.UniversalClient, line string) {
	t.Helper()
	var args []any
	for _, f := range strings.Fields(line) {
		args = append(args, f)
	}
	if err := rdb.Do(context.Background(), args...).Err(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

// add adds entries with the given ids and a field that tells them apart.
func add(t *testing.T, rdb redis.UniversalClient, key string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		do(t, rdb, "XADD "+key+" "+id+" data "+id)
	}
}

func id(s string) stream.ID {
	id, err := stream.ParseID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func idsOf(entries []stream.Entry) string {
	var s []string
	for _, e := range entries {
		s = append(s, e.ID.String())
	}
	return strings.Join(s, " ")
}

// want is a page in short: verdict, start, entries, more.
func want(t *testing.T, p stream.Page, err error, expected string) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return
	}
	got := fmt.Sprintf("%v from %v: %s", p.Verdict, p.Start, idsOf(p.Entries))
	if p.More {
		got += " …"
	}
	if got = strings.TrimSpace(got); got != expected {
		t.Errorf("got  %s\nwant %s", got, expected)
	}
}

func testReadReturnsPagesThatSayWhetherTheyAreTheLast(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	add(t, rdb, "k", "1-0", "2-0", "3-0", "4-0")
	for _, c := range []struct {
		at, upTo string
		limit    int
		want     string
	}{
		{"1-0", "9-0", 10, "contiguous from 1-0: 2-0 3-0 4-0"},
		{"1-0", "9-0", 3, "contiguous from 1-0: 2-0 3-0 4-0"},
		{"1-0", "9-0", 2, "contiguous from 1-0: 2-0 3-0 …"},
		{"1-0", "2-0", 2, "contiguous from 1-0: 2-0"},
		{"1-0", "1-0", 2, "contiguous from 1-0:"},
		{"4-0", "9-0", 2, "contiguous from 4-0:"},
		{"4-0", "2-0", 2, "contiguous from 4-0:"},
		{"0-18446744073709551615", "9-0", 2, "contiguous from 0-18446744073709551615: 1-0 2-0 …"},
	} {
		p, err := redisstream.Read(ctx, rdb, "k", id(c.at), id(c.upTo), c.limit)
		want(t, p, err, c.want)
	}
}

func testReadKeepsFieldsInOrderAndDuplicates(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	fields := []string{"z", "1", "a", "2", "z", "\x00\xff\r\n", "", ""}
	at, err := redisstream.Append(ctx, rdb, "k", 0, fields)
	if err != nil {
		t.Fatal(err)
	}
	p, err := redisstream.Read(ctx, rdb, "k", at.Prev(), stream.MaxID, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Entries) != 1 || p.Entries[0].ID != at || !slices.Equal(p.Entries[0].Fields, fields) {
		t.Errorf("got %q", p.Entries)
	}
	res := redisstream.ReadTails(ctx, rdb, []redisstream.TailRead{{Key: "k", At: at.Prev(), Limit: 1}})
	if e := res[0].Page.Entries; len(e) != 1 || !slices.Equal(e[0].Fields, fields) {
		t.Errorf("tails got %+v", res)
	}
}

// Each case is a history and a position. plain says what a server without
// counters is expected to say, where that differs.
var verdicts = []struct {
	name, history, at string
	want, plain       string
}{
	{"no key, from the start", "", "0-0", "contiguous from 0-0:", ""},
	{"no key, from anywhere else", "", "7-0", "reset from 0-0:", ""},
	{"the end, its entry there", "add 1-0 2-0", "2-0", "contiguous from 2-0:", ""},
	{"the end, its entry deleted", "add 1-0 2-0;XDEL k 2-0", "2-0", "contiguous from 2-0:", ""},
	{"the end, all trimmed", "add 1-0 2-0;XTRIM k MAXLEN 0", "2-0", "contiguous from 2-0:", ""},
	{"beyond the end", "add 1-0 2-0", "3-0", "reset from 2-0:", ""},
	{"the start, nothing trimmed", "add 1-0 2-0", "0-0", "contiguous from 0-0: 1-0 2-0", "gap from 0-18446744073709551615: 1-0 2-0"},
	{"the start, something trimmed", "add 1-0 2-0 3-0;XTRIM k MAXLEN 2", "0-0", "gap from 1-18446744073709551615: 2-0 3-0", ""},
	{"all trimmed", "add 1-0 2-0;XTRIM k MAXLEN 0", "1-0", "gap from 2-0:", ""},
	{"all trimmed, from the start", "add 1-0 2-0;XTRIM k MAXLEN 0", "0-0", "gap from 2-0:", ""},
	{"before the first", "add 1-0 2-0 3-0;XTRIM k MAXLEN 1", "1-0", "gap from 2-18446744073709551615: 3-0", ""},
	{"right before the first", "add 1-0 3-5;XTRIM k MAXLEN 1", "3-4", "contiguous from 3-4: 3-5", ""},
	{"its entry deleted in the middle", "add 1-0 2-0 3-0;XDEL k 2-0", "2-0", "contiguous from 2-0: 3-0", "gap from 2-0: 3-0"},
	{"its entry never there", "add 1-0 3-0", "2-0", "reset from 2-0: 3-0", "gap from 2-0: 3-0"},
}

func testReadJudgesAPositionWithoutAnEntry(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	info := rdb.Info(ctx, "server").Val() // a simulation has no such section
	for _, c := range verdicts {
		t.Run(c.name, func(t *testing.T) {
			do(t, rdb, "DEL k")
			for step := range strings.SplitSeq(c.history, ";") {
				if list, ok := strings.CutPrefix(step, "add "); ok {
					add(t, rdb, "k", strings.Fields(list)...)
				} else if step != "" {
					do(t, rdb, step)
				}
			}
			expected := c.want
			if c.plain != "" && !strings.Contains(info, "redis_version") {
				expected = c.plain
			}
			p, err := redisstream.Read(ctx, rdb, "k", id(c.at), stream.MaxID, 10)
			want(t, p, err, expected)
			if c.history == "" && c.at == "0-0" {
				return
			}
			res := redisstream.ReadTails(ctx, rdb, []redisstream.TailRead{{Key: "k", At: id(c.at), Limit: 10}})
			want(t, res[0].Page, res[0].Err, expected)
		})
	}
}

func testReadTailsReadsManyKeysEachFromItsPosition(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	var reads []redisstream.TailRead
	for i := range 600 {
		key := fmt.Sprint("k", i)
		add(t, rdb, key, "1-0", "2-0", "3-0")
		reads = append(reads, redisstream.TailRead{Key: key, At: stream.ID{Ms: uint64(1 + i%3)}, Limit: 1 + i%2})
	}
	for i, res := range redisstream.ReadTails(ctx, rdb, reads) {
		expected := map[[2]int]string{
			{0, 0}: "contiguous from 1-0: 2-0 …",
			{0, 1}: "contiguous from 1-0: 2-0 3-0",
			{1, 0}: "contiguous from 2-0: 3-0",
			{1, 1}: "contiguous from 2-0: 3-0",
			{2, 0}: "contiguous from 3-0:",
			{2, 1}: "contiguous from 3-0:",
		}[[2]int{i % 3, i % 2}]
		want(t, res.Page, res.Err, expected)
	}
	if out := redisstream.ReadTails(ctx, rdb, nil); len(out) != 0 {
		t.Errorf("no reads gave %v", out)
	}
}

// With MAXLEN 1 an exclusive read sees the newest entry only, and nothing that
// tells how many came before it.
func testReadTailsSeesWhatWasTrimmedBetweenTwoReads(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	for _, i := range []string{"1-0", "2-0", "3-0"} {
		do(t, rdb, "XADD k MAXLEN 1 "+i+" data x")
	}
	res := redisstream.ReadTails(ctx, rdb, []redisstream.TailRead{{Key: "k", At: id("1-0"), Limit: 10}})
	want(t, res[0].Page, res[0].Err, "gap from 2-18446744073709551615: 3-0")
}

func testAKeyOfAnotherTypeIsItsOwnErrorOnly(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	add(t, rdb, "good", "1-0", "2-0")
	do(t, rdb, "SET bad x")
	res := redisstream.ReadTails(ctx, rdb, []redisstream.TailRead{
		{Key: "good", At: id("1-0"), Limit: 10},
		{Key: "bad", At: id("1-0"), Limit: 10},
		{Key: "none", At: id("0-0"), Limit: 10},
		{Key: "good2", At: id("1-0"), Limit: 10},
	})
	want(t, res[0].Page, res[0].Err, "contiguous from 1-0: 2-0")
	wantWrongType(t, res[1].Err, "bad")
	want(t, res[2].Page, res[2].Err, "contiguous from 0-0:")
	want(t, res[3].Page, res[3].Err, "reset from 0-0:")

	_, err := redisstream.Read(ctx, rdb, "bad", id("1-0"), stream.MaxID, 1)
	wantWrongType(t, err, "bad")
	_, err = redisstream.Read(ctx, rdb, "bad", id("0-0"), stream.MaxID, 1)
	wantWrongType(t, err, "bad")
	_, err = redisstream.Info(ctx, rdb, "bad")
	wantWrongType(t, err, "bad")
	_, err = redisstream.Append(ctx, rdb, "bad", 0, []string{"data", ""})
	wantWrongType(t, err, "bad")
	infos, errs := redisstream.Heads(ctx, rdb, []string{"bad", "good"})
	wantWrongType(t, errs[0], "bad")
	if errs[1] != nil || infos[1].Last != id("2-0") {
		t.Errorf("good: %+v, %v", infos[1], errs[1])
	}
}

func wantWrongType(t *testing.T, err error, key string) {
	t.Helper()
	var wrong *stream.WrongTypeError
	if !errors.As(err, &wrong) || wrong.Key != key {
		t.Errorf("got %v, want a WrongTypeError for %s", err, key)
	}
}

func testHeadsTellsWhereStreamsEnd(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	add(t, rdb, "open", "1-0", "2-0")
	do(t, rdb, "XADD closed 3-0 data x close 1")
	do(t, rdb, "XADD domain 3-0 name x close 1")
	do(t, rdb, "XADD notone 3-0 data x close true")
	add(t, rdb, "emptied", "4-0")
	do(t, rdb, "XTRIM emptied MAXLEN 0")
	keys := []string{"open", "closed", "domain", "notone", "emptied", "none"}
	infos, errs := redisstream.Heads(ctx, rdb, keys)
	for i, expected := range []stream.Info{
		{Exists: true, Last: id("2-0"), LastGenerated: id("2-0")},
		{Exists: true, Last: id("3-0"), LastGenerated: id("3-0"), Closed: true},
		{Exists: true, Last: id("3-0"), LastGenerated: id("3-0")},
		{Exists: true, Last: id("3-0"), LastGenerated: id("3-0")},
		{Exists: true, LastGenerated: id("4-0")},
		{},
	} {
		infos[i].Counters, infos[i].Added = false, 0 // where the server has them
		if errs[i] != nil || infos[i] != expected {
			t.Errorf("%s: got %+v, %v, want %+v", keys[i], infos[i], errs[i], expected)
		}
	}
	if infos, errs := redisstream.Heads(ctx, rdb, nil); len(infos)+len(errs) != 0 {
		t.Error("results for no keys")
	}
}

func testInfoTellsAll(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	if info, err := redisstream.Info(ctx, rdb, "none"); err != nil || info != (stream.Info{}) {
		t.Errorf("absent key: %+v, %v", info, err)
	}
	add(t, rdb, "k", "1-0", "2-0", "3-0", "4-0")
	do(t, rdb, "XDEL k 3-0")
	do(t, rdb, "XTRIM k MAXLEN 2")
	do(t, rdb, "XADD k 5-0 data x close 1")
	got, err := redisstream.Info(ctx, rdb, "k")
	expected := stream.Info{Exists: true, First: id("2-0"), Last: id("5-0"), Closed: true, LastGenerated: id("5-0"),
		Length: 3, Counters: true, Added: 5, MaxDeleted: id("3-0")}
	if !got.Counters {
		expected.Counters, expected.Added, expected.MaxDeleted = false, 0, stream.ID{}
	}
	if err != nil || got != expected {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, expected)
	}
}

func testAppendTrims(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	var last stream.ID
	for range 300 {
		at, err := redisstream.Append(ctx, rdb, "k", 10, []string{"data", "x"})
		if err != nil {
			t.Fatal(err)
		}
		if !last.Less(at) {
			t.Fatalf("%v after %v", at, last)
		}
		last = at
	}
	// Trimming is approximate: Redis drops whole nodes of 100 entries.
	if n := rdb.XLen(ctx, "k").Val(); n < 10 || n > 110 {
		t.Errorf("%d entries are left", n)
	}
	now, err := redisstream.Time(ctx, rdb)
	if err != nil || now.UnixMilli() < int64(last.Ms) {
		t.Errorf("time %v, %v is before the newest entry %v", now, err, last)
	}
}

func TestErrorsOfTheConnectionApplyToAllReads(t *testing.T) {
	s := redistest.Start(t)
	rdb := s.Client()
	add(t, rdb, "k", "1-0")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	check := func(expected error, ctx context.Context) {
		t.Helper()
		reads := []redisstream.TailRead{{Key: "k", At: id("1-0")}, {Key: "l", At: id("1-0")}}
		_, errs := redisstream.Heads(ctx, rdb, []string{"k", "l"})
		for _, res := range redisstream.ReadTails(ctx, rdb, reads) {
			errs = append(errs, res.Err)
		}
		_, err := redisstream.Read(ctx, rdb, "k", id("1-0"), stream.MaxID, 1)
		errs = append(errs, err)
		_, err = redisstream.Read(ctx, rdb, "k", id("0-0"), stream.MaxID, 1)
		errs = append(errs, err)
		_, err = redisstream.Info(ctx, rdb, "k")
		errs = append(errs, err)
		_, err = redisstream.Append(ctx, rdb, "k", 0, []string{"data", ""})
		errs = append(errs, err)
		for i, err := range errs {
			if err == nil || expected != nil && !errors.Is(err, expected) {
				t.Errorf("call %d: got %v, want %v", i, err, expected)
			}
		}
	}
	check(context.Canceled, ctx)
	s.Kill()
	check(nil, context.Background())
}
