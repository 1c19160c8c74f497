package stream_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

func TestTopicsOfTheGrammarAreTaken(t *testing.T) {
	for _, name := range []string{
		"a", "Z", "0", "orders", "orders/42", "orders:eu.west-1_x", "@user", "a@b", "a+b=c,d", ",", ".", "..", "/", "-", "_", ":", "+", "=", "@",
		"größe", "日本語", "заказ", "٣", "ﬀ", "𝒜",
		strings.Repeat("a", 200), strings.Repeat("ä", 100), strings.Repeat("日", 66) + "aa",
	} {
		if got, err := stream.ParseTopic(name); err != nil || string(got) != name {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
}

func TestEverythingElseIsNoTopicAndTheErrorSaysWhy(t *testing.T) {
	for name, reason := range map[string]string{
		"":                       "empty",
		strings.Repeat("a", 201): "201 bytes",
		strings.Repeat("ä", 101): "202 bytes",
		strings.Repeat("日", 67):  "201 bytes",
		"~":                      "~",
		"a~":                     `'~'`,
		"~x":                     "~",
		"*":                      `'*'`,
		"a*":                     `'*'`,
		"a?":                     `'?'`,
		"{a}":                    `'{'`,
		"a}":                     `'}'`,
		"a b":                    `' '`,
		"a\tb":                   `'\t'`,
		"a\nb":                   `'\n'`,
		"a\rb":                   `'\r'`,
		"a\x00":                  `'\x00'`,
		"\x7f":                   `'\x7f'`,
		"a\u0085b":               "contains",
		"a\u2028b":               "contains",
		"a\u200db":               "contains", // zero width joiner
		"e\u0301":                "contains", // a combining accent is no letter
		"🎈":                      "contains",
		"\ufeffa":                "contains",
		"\xff":                   "UTF-8",
		"a\xc3":                  "UTF-8",
		"\xed\xa0\x80":           "UTF-8", // half a surrogate pair
		strings.Repeat("日", 21) + "ab\xff" + "x": "UTF-8", // longer than what is shown of it
		"!": "contains", "\"": "contains", "#": "contains", "$": "contains", "%": "contains", "&": "contains", "'": "contains", "(": "contains",
		")": "contains", ";": "contains", "<": "contains", ">": "contains", "[": "contains", "\\": "contains", "]": "contains", "^": "contains",
		"`": "contains", "|": "contains",
	} {
		got, err := stream.ParseTopic(name)
		var te *stream.TopicError
		if !errors.As(err, &te) {
			t.Errorf("%q: got %q, %v", name, got, err)
			continue
		}
		if !strings.Contains(te.Reason, reason) {
			t.Errorf("%q: the reason is %q, want something with %q", name, te.Reason, reason)
		}
		if msg := err.Error(); len(msg) > 400 || strings.ContainsAny(msg, "\n\r\x00") || !strings.Contains(msg, te.Reason) {
			t.Errorf("%q: the message is %q", name, msg)
		}
	}
}

func TestKeysAndChannelsOfTopicsLeadBack(t *testing.T) {
	for _, k := range []stream.Keys{{Prefix: stream.DefaultPrefix}, {Prefix: "app{x}:", DB: 12}, {}} {
		for _, topic := range []stream.Topic{"orders/1", "@u", stream.Everyone, "a:b", "__keyspace@0__:x"} {
			key := k.Stream(topic)
			if key != k.Prefix+string(topic) {
				t.Errorf("the key of %s is %s", topic, key)
			}
			if got, ok := k.Topic(key); !ok || got != topic {
				t.Errorf("the topic of %s is %s, %v", key, got, ok)
			}
			if got, ok := k.KeyspaceKey(k.Keyspace(key)); !ok || got != key {
				t.Errorf("%s belongs to %s, %v", k.Keyspace(key), got, ok)
			}
			if got, ok := k.WakeKey(k.Wake(key)); !ok || got != key {
				t.Errorf("%s belongs to %s, %v", k.Wake(key), got, ok)
			}
		}
	}
	k := stream.Keys{Prefix: "sse:", DB: 3}
	if got := k.Keyspace("sse:a"); got != "__keyspace@3__:sse:a" {
		t.Error(got)
	}
	if got := k.Own("i"); got != "sse:~i" {
		t.Error(got)
	}
}

// Channels cross databases, so what is heard of another must not be taken for
// one's own.
func TestKeysOfOthersAreNotTaken(t *testing.T) {
	k := stream.Keys{Prefix: "sse:"}
	for _, key := range []string{"", "sse", "sse:", "ssx:a", "SSE:a", "a", "sse:~x", k.Own("presence"), "sse:a b", "sse:a*", "sse:**", "sse:" + strings.Repeat("a", 201)} {
		if topic, ok := k.Topic(key); ok {
			t.Errorf("%q was taken for topic %q", key, topic)
		}
	}
	other := stream.Keys{Prefix: "sse:", DB: 1}
	for _, channel := range []string{"", "sse:a", other.Keyspace("sse:a"), other.Wake("sse:a"), "__keyevent@0__:xadd"} {
		if key, ok := k.KeyspaceKey(channel); ok {
			t.Errorf("keyspace channel %q was taken for %q", channel, key)
		}
		if key, ok := k.WakeKey(channel); ok {
			t.Errorf("wake channel %q was taken for %q", channel, key)
		}
	}
	if _, ok := k.Topic(k.Wake("sse:a")); ok {
		t.Error("a wake channel looks like a topic's key")
	}
}
