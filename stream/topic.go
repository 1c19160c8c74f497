package stream

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Topic is a name that clients subscribe to. A Topic from ParseTopic obeys
// the grammar; a conversion from string is a promise that it does.
type Topic string

// MaxTopicLen is the greatest length of a topic in bytes.
const MaxTopicLen = 200

// Everyone is the topic of all connections. ParseTopic refuses it: a
// deployment opts in to it.
const Everyone Topic = "*"

// TopicError says why a name is not a topic and what is allowed.
type TopicError struct {
	Name   string // as given, cut to 64 bytes
	Reason string // one clause, without the name
}

// Error names the topic, the reason and the rule.
func (e *TopicError) Error() string {
	return fmt.Sprintf("topic %q: %s; a topic is 1 to %d bytes of letters, digits and - _ . : / @ + = , and does not begin with ~",
		e.Name, e.Reason, MaxTopicLen)
}

// ParseTopic checks s against the grammar: 1 to 200 bytes of UTF-8 letters,
// digits and - _ . : / @ + = , (a comma is part of a name, it separates
// nothing). Errors are *TopicError.
func ParseTopic(s string) (Topic, error) {
	if reason := topicFault(s); reason != "" {
		name := s
		if len(name) > 64 {
			name = strings.ToValidUTF8(name[:64], "") + "…"
		}
		return "", &TopicError{Name: name, Reason: reason}
	}
	return Topic(s), nil
}

func topicFault(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > MaxTopicLen:
		return fmt.Sprintf("it has %d bytes", len(s))
	case s[0] == '~':
		return "names beginning with ~ are the gateway's own"
	case !utf8.ValidString(s):
		return "it is not UTF-8"
	}
	for _, r := range s {
		if !topicRune(r) {
			return fmt.Sprintf("it contains %q", r)
		}
	}
	return ""
}

func topicRune(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:/@+=,", r)
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// DefaultPrefix is what stands before a topic in its Redis key.
const DefaultPrefix = "sse:"

// Keys names everything of the gateway in Redis. Pub/sub channels cross
// databases, so a channel name carries the number of the database; keys do not.
type Keys struct {
	Prefix string // before every key; DefaultPrefix if the deployment says nothing
	DB     int    // number of the Redis database, 0 in Cluster
}

// Stream returns the key of a topic's stream.
func (k Keys) Stream(t Topic) string { return k.Prefix + string(t) }

// Topic returns the topic whose stream has this key, if it is one.
func (k Keys) Topic(key string) (Topic, bool) {
	name, ok := strings.CutPrefix(key, k.Prefix)
	if !ok || (name != string(Everyone) && topicFault(name) != "") {
		return "", false
	}
	return Topic(name), true
}

// Own returns the key of something of the gateway's own, below "<prefix>~".
func (k Keys) Own(name string) string { return k.Prefix + "~" + name }

// Keyspace returns the channel of the keyspace notifications of a key.
func (k Keys) Keyspace(key string) string {
	return "__keyspace@" + strconv.Itoa(k.DB) + "__:" + key
}

// KeyspaceKey returns the key that a channel made by Keyspace belongs to.
func (k Keys) KeyspaceKey(channel string) (string, bool) {
	return strings.CutPrefix(channel, k.Keyspace(""))
}

// Wake returns the channel on which publishers that use the gateway's API
// say that a key has something new, where Redis does not say it itself.
func (k Keys) Wake(key string) string {
	return k.Prefix + "~wake@" + strconv.Itoa(k.DB) + ":" + key
}

// WakeKey returns the key that a channel made by Wake belongs to.
func (k Keys) WakeKey(channel string) (string, bool) {
	return strings.CutPrefix(channel, k.Wake(""))
}
