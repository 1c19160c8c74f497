package broadcaster_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/internal/redistest"
)

func TestNotificationsAreSwitchedOnBesideThoseThatThereAre(t *testing.T) {
	s := redistest.Start(t, "--notify-keyspace-events", "Ex")
	p := startPod(t, s.Client())
	if reason := p.awaitWay(broadcaster.WayKeyspace); reason != "" {
		t.Errorf("all is well, but: %s", reason)
	}
	if !hasFlags(t, s.Client(), "EKgxet") {
		t.Errorf("notify-keyspace-events is %q", config(t, s.Client(), "notify-keyspace-events"))
	}
	f := p.follow(topic)
	want(t, f, xadd(t, s.Client(), topic, "x"))
}

func TestNotificationsThatAreOnAreLeftAlone(t *testing.T) {
	for _, flags := range []string{"KA", "Kgxet"} {
		s := redistest.Start(t, "--notify-keyspace-events", flags)
		before := config(t, s.Client(), "notify-keyspace-events")
		p := startPod(t, s.Client())
		p.awaitWay(broadcaster.WayKeyspace)
		if now := config(t, s.Client(), "notify-keyspace-events"); now != before {
			t.Errorf("notify-keyspace-events was %q and is %q", before, now)
		}
	}
}

func TestAPodThatMayNotConfigureTracks(t *testing.T) {
	s := redistest.Start(t)
	p := startPod(t, s.Client(), notConfiguring)
	if reason := p.awaitWay(broadcaster.WayTracking); !strings.Contains(reason, "may not configure") || !strings.Contains(reason, "Kgxet") {
		t.Errorf("the reason does not say what to do: %s", reason)
	}
	if got := config(t, s.Client(), "notify-keyspace-events"); got != "" {
		t.Errorf("notify-keyspace-events is %q", got)
	}
	f := p.follow(topic)
	want(t, f, xadd(t, s.Client(), topic, "x"))
	want(t, f, p.publish(topic, "y"))
}

// The probe's own key is given a TTL, of which "g" tells.
func TestNotificationsWithoutStreamsAreNotEnough(t *testing.T) {
	s := redistest.Start(t, "--notify-keyspace-events", "Kg")
	p := startPod(t, s.Client(), notConfiguring)
	p.awaitWay(broadcaster.WayTracking)
	want(t, p.follow(topic), xadd(t, s.Client(), topic, "x"))
}

func TestWithoutCONFIGAPodTracks(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		s := redistest.Start(t, "--rename-command", "CONFIG", "")
		p := startPod(t, s.Client(func(o *redis.Options) { o.Protocol = protocol }))
		if reason := p.awaitWay(broadcaster.WayTracking); !strings.Contains(reason, "unknown command") {
			t.Errorf("the reason does not say what Redis refused: %s", reason)
		}
		f := p.follow(topic)
		for range 20 {
			want(t, f, xadd(t, s.Client(), topic, "x"))
		}
		// Nothing is announced, but everything is heard of.
		do(t, s.Client(), "FLUSHALL")
		wantControl(t, f, "reset")
		want(t, f, xadd(t, s.Client(), topic, "y"))
	}
}

func TestWithoutNotificationsAndTrackingPodsTellEachOther(t *testing.T) {
	for name, start := range map[string]func() *redis.Client{
		"renamed away": func() *redis.Client {
			return redistest.Start(t, "--rename-command", "CONFIG", "", "--rename-command", "CLIENT", "").Client()
		},
		"not permitted": func() *redis.Client {
			s := redistest.Start(t)
			do(t, s.Client(), "ACL", "SETUSER", "pod", "on", "nopass", "~*", "&*", "+@all", "-config", "-client|tracking")
			return s.Client(func(o *redis.Options) { o.Username, o.Password = "pod", "any" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			rdb := start()
			one, two := startPod(t, rdb), startPod(t, rdb, sweeping)
			for _, p := range []*pod{one, two} {
				if reason := p.awaitWay(broadcaster.WayPublish); !strings.Contains(reason, "Kgxet") || !strings.Contains(reason, "sweep") {
					t.Errorf("the reason does not say what to do: %s", reason)
				}
			}
			// The first pod never sweeps: it must be told.
			heard, swept := one.follow(topic), two.follow(topic)
			for range 10 {
				id := two.publish(topic, "x")
				want(t, heard, id)
				want(t, swept, id)
			}
			id := xadd(t, rdb, topic, "raw")
			want(t, swept, id)
			after := one.publish(topic, "x")
			want(t, heard, id, after)
			want(t, swept, after)
		})
	}
}

func TestAUserWithoutChannelsIsToldWhichToAllow(t *testing.T) {
	s := redistest.Start(t)
	do(t, s.Client(), "ACL", "SETUSER", "pod", "on", "nopass", "~*", "resetchannels", "+@all")
	rdb := s.Client(func(o *redis.Options) { o.Username, o.Password = "pod", "any" })
	p := startPod(t, rdb, sweeping, probing, func(_ *broadcaster.RedisOptions, t *broadcaster.Timing) {
		t.RetryRefuse = 20 * time.Millisecond
	})
	reason := p.awaitWay(broadcaster.WayPublish)
	for _, part := range []string{"__keyspace@0__:sse:*", "sse:~wake@0:*"} {
		if !strings.Contains(reason, part) {
			t.Errorf("the reason does not name %s: %s", part, reason)
		}
	}
	f := p.follow(topic)
	want(t, f, xadd(t, s.Client(), topic, "swept"))
	do(t, s.Client(), "ACL", "SETUSER", "pod", "&__keyspace@0__:sse:*", "&sse:~wake@0:*")
	p.awaitWay(broadcaster.WayKeyspace)
	want(t, f, xadd(t, s.Client(), topic, "heard"))
}

func TestNotificationsThatAreSwitchedOffAreSweptUp(t *testing.T) {
	s := redistest.Start(t)
	p := startPod(t, s.Client(), sweeping)
	p.awaitWay(broadcaster.WayKeyspace)
	f := p.follow(topic)
	do(t, s.Client(), "CONFIG", "SET", "notify-keyspace-events", "")
	for range 3 {
		want(t, f, xadd(t, s.Client(), topic, "x"))
	}
}

func TestNotificationsThatAreSwitchedOffAreSwitchedOnAgain(t *testing.T) {
	s := redistest.Start(t)
	p := startPod(t, s.Client(), probing)
	p.awaitWay(broadcaster.WayKeyspace)
	f := p.follow(topic)
	for range 3 {
		do(t, s.Client(), "CONFIG", "SET", "notify-keyspace-events", "")
		// Whether it is announced or not, it must not wait for a sweep.
		want(t, f, xadd(t, s.Client(), topic, "x"))
	}
	for ctx := within(t); !hasFlags(t, s.Client(), "Kgxet"); {
		if ctx.Err() != nil {
			t.Fatal("notifications are still off")
		}
	}
}

func TestAPodThatTracksHearsWhenNotificationsAreSwitchedOn(t *testing.T) {
	s := redistest.Start(t)
	tracks := regexp.MustCompile(` flags=\w*t`)
	p := startPod(t, s.Client(), probing, notConfiguring)
	p.awaitWay(broadcaster.WayTracking)
	f := p.follow(topic)
	want(t, f, xadd(t, s.Client(), topic, "x"))
	if list := do(t, s.Client(), "CLIENT", "LIST").(string); !tracks.MatchString(list) {
		t.Fatalf("no connection tracks:\n%s", list)
	}
	do(t, s.Client(), "CONFIG", "SET", "notify-keyspace-events", "Kgxet")
	p.awaitWay(broadcaster.WayKeyspace)
	want(t, f, xadd(t, s.Client(), topic, "y"))
	for ctx := within(t); tracks.MatchString(do(t, s.Client(), "CLIENT", "LIST").(string)); {
		if ctx.Err() != nil {
			t.Fatal("a tracking connection is still open")
		}
	}
	do(t, s.Client(), "CONFIG", "SET", "notify-keyspace-events", "")
	p.awaitWay(broadcaster.WayTracking)
	want(t, f, xadd(t, s.Client(), topic, "z"))
}

func TestTopicsFollowedBeforeTheWayIsKnownAreToldToo(t *testing.T) {
	s := redistest.Start(t, "--rename-command", "CONFIG", "", "--rename-command", "CLIENT", "")
	s.Kill()
	one := startPod(t, s.Client())
	f := one.following(topic)
	s.Restart()
	one.awaitWay(broadcaster.WayPublish)
	two := startPod(t, s.Client())
	two.awaitWay(broadcaster.WayPublish)
	if _, err := f.Joined(within(t)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		want(t, f, two.publish(topic, "x"))
	}
}

func TestWhatCameBeforeAWayWasFoundArrivesWhenItIs(t *testing.T) {
	s := redistest.Start(t, "--rename-command", "CLIENT", "")
	p := startPod(t, s.Client(), probing, notConfiguring)
	p.awaitWay(broadcaster.WayPublish)
	f := p.follow(topic)
	id := xadd(t, s.Client(), topic, "unannounced")
	do(t, s.Client(), "CONFIG", "SET", "notify-keyspace-events", "Kgxet")
	want(t, f, id)
}
