package config

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedisURLForms(t *testing.T) {
	for _, c := range []struct {
		url, form, printed string
		db                 int
	}{
		{"redis://localhost", oneNode, "redis://localhost", 0},
		{"redis://u:p%40ss@h:6380/3", oneNode, "redis://u:xxxxx@h:6380/3", 3},
		{"rediss://:pw@h?db=2&client_name=x", oneNode, "rediss://:xxxxx@h?db=2&client_name=x", 2},
		{"unix://u:pw@/run/redis.sock?db=1", oneNode, "unix://u:xxxxx@/run/redis.sock?db=1", 1},
		{"redis://h?cluster=true", cluster, "redis://h?cluster=true", 0},
		{"rediss://u:pw@h:7000?addr=h2:7000&addr=h3:7000", cluster, "rediss://u:xxxxx@h:7000?addr=h2:7000&addr=h3:7000", 0},
		{"redis://:pw@s:26379/4?master_name=m&addr=s2:26379&password=geheim", sentinel, "redis://:xxxxx@s:26379/4?addr=s2%3A26379&master_name=m&password=xxxxx", 4},
		{"redis://h?cluster=false", oneNode, "redis://h?cluster=false", 0},
	} {
		r, err := ParseRedis(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if r.form != c.form || r.DB() != c.db || r.String() != c.printed {
			t.Errorf("%s: got %s, database %d, printed %s", c.url, r.form, r.DB(), r)
		}
	}
}

func TestClientsOfTheThreeForms(t *testing.T) {
	open := func(url string, pool int) redis.UniversalClient {
		r, err := ParseRedis(url)
		if err != nil {
			t.Fatal(err)
		}
		c := r.Client(pool)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	o := open("redis://u:pw@h/3?read_timeout=9s&pool_size=50", 0).(*redis.Client).Options()
	if o.Addr != "h:6379" || o.DB != 3 || o.Password != "pw" || o.ReadTimeout != 9*time.Second || o.DialTimeout != 3*time.Second || o.PoolSize != 50 || !o.ContextTimeoutEnabled {
		t.Errorf("one node: %+v", o)
	}
	if o.MaxRetries != 0 { // what go-redis makes of -1: none
		t.Errorf("one node retries %d times", o.MaxRetries)
	}
	if o := open("unix:///run/redis.sock", 7).(*redis.Client).Options(); o.Network != "unix" || o.Addr != "/run/redis.sock" || o.PoolSize != 7 {
		t.Errorf("unix: %+v", o)
	}
	if o := open("redis://h/?pool_size=50", 7).(*redis.Client).Options(); o.PoolSize != 7 {
		t.Errorf("the history pool has %d connections", o.PoolSize)
	}
	if o := open("redis://h:7000?cluster=true&addr=h2:7000", 0).(*redis.ClusterClient).Options(); len(o.Addrs) != 2 || o.ReadTimeout != 3*time.Second {
		t.Errorf("Cluster: %+v", o)
	}
	if o := open("redis://s?master_name=m&password=pw", 0).(*redis.Client).Options(); o.Password != "pw" {
		t.Errorf("Sentinel: %+v", o)
	}
}

func TestWrongRedisURLs(t *testing.T) {
	const notAURL = "is not a URL such as "
	for url, want := range map[string]string{
		"localhost:6379":                              "must begin with redis://",
		"http://h":                                    "must begin with redis://",
		"unix:///s?cluster=true":                      "must begin with redis://",
		"redis://":                                    "names no host",
		"redis://h/events":                            "has a path that is not the number of a database",
		"redis://h/1/2":                               "has a path that is not the number of a database",
		"redis://h?db=x":                              "has a db parameter that is not",
		"redis://h/1?cluster=true":                    "Redis Cluster has only database 0",
		"redis://h?cluster=maybe":                     "neither true nor false",
		"redis://h?cluster=true&master_name=m":        "both cluster=true and master_name",
		"redis://h?cluster=true&read_only=true":       "has the parameter read_only: the gateway reads from masters only",
		"redis://h?master_name=m&replica_only=true":   "has the parameter replica_only",
		"redis://h?colour=red":                        "is not accepted: unexpected option: colour",
		"redis://h?pool_size=big":                     "is not accepted: invalid pool_size",
		"redis://h:7000?addr=nowhere&cluster=true":    "is not accepted: unable to parse addr",
		"redis://:geheim/geheim@h":                    notAURL,
		"redis://:geheim#geheim@h":                    notAURL,
		"redis://:geheim?geheim@h":                    notAURL,
		"redis://:geheim@geheim/geheim@h":             notAURL,
		"redis://:geheim@geheim?geheim@geheim=geheim": "has a parameter whose name is not",
		"redis://u:geheim%zz@h":                       notAURL,
	} {
		_, err := ParseRedis(url)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "REDIS_URL ") {
			t.Errorf("%s: got %v", url, err)
			continue
		}
		if strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error tells the password: %v", url, err)
		}
	}
}
