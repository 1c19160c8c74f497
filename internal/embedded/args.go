package embedded

import (
	"strconv"
	"strings"

	"github.com/ssegateway/sse-gateway/stream"
)

// The arguments of XADD and XTRIM are checked here, before miniredis sees
// them: it panics on some that are cut short, knows no LIMIT, and takes MINID
// unread.

const (
	errNotInteger = "ERR value is not an integer or out of range"
	errStreamID   = "ERR Invalid stream ID specified as stream command argument"
	errSyntax     = "ERR syntax error"
	errTooSmall   = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
)

// trimming is the trimming part of XADD and XTRIM: strategy "MAXLEN" or
// "MINID", or "" for none.
type trimming struct{ strategy, threshold string }

func (t trimming) args() []string {
	if t.strategy == "" {
		return nil
	}
	return []string{t.strategy, t.threshold}
}

// parseTrimming reads MAXLEN|MINID [=|~] threshold [LIMIT count] at the start
// of args. fault is an error reply, or "".
func parseTrimming(args []string) (t trimming, rest []string, fault string) {
	t.strategy = strings.ToUpper(args[0])
	args = args[1:]
	approximate := false
	if len(args) > 0 && (args[0] == "=" || args[0] == "~") {
		approximate = args[0] == "~"
		args = args[1:]
	}
	if len(args) == 0 {
		return t, nil, errSyntax
	}
	t.threshold, args = args[0], args[1:]
	switch t.strategy {
	case "MAXLEN":
		n, err := strconv.ParseInt(t.threshold, 10, 64)
		if err != nil {
			return t, nil, errNotInteger
		}
		if n < 0 {
			return t, nil, "ERR The MAXLEN argument must be >= 0."
		}
	case "MINID":
		id, ok := parseID(t.threshold)
		if !ok {
			return t, nil, errStreamID
		}
		t.threshold = id.String()
	}
	if len(args) > 0 && strings.EqualFold(args[0], "LIMIT") {
		switch {
		case !approximate:
			return t, nil, "ERR syntax error, LIMIT cannot be used without the special ~ option"
		case len(args) < 2:
			return t, nil, errSyntax
		}
		if n, err := strconv.ParseInt(args[1], 10, 64); err != nil || n < 0 {
			return t, nil, errNotInteger
		}
		args = args[2:]
	}
	return t, args, ""
}

// xaddArgs are the arguments of an XADD.
type xaddArgs struct {
	key    string
	create bool // NOMKSTREAM is absent
	trim   trimming
	id     string
	fields []string
}

func parseXAdd(args []string) (a xaddArgs, fault string) {
	const arity = "ERR wrong number of arguments for 'xadd' command"
	if len(args) < 4 {
		return a, arity
	}
	a.key, a.create, args = args[0], true, args[1:]
options:
	for len(args) > 0 {
		switch strings.ToUpper(args[0]) {
		case "NOMKSTREAM":
			a.create = false
			args = args[1:]
		case "MAXLEN", "MINID":
			if a.trim.strategy != "" && !strings.EqualFold(args[0], a.trim.strategy) {
				return a, "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
			}
			if a.trim, args, fault = parseTrimming(args); fault != "" {
				return a, fault
			}
		default:
			break options
		}
	}
	if len(args) < 3 || len(args)%2 == 0 {
		return a, arity
	}
	a.id, a.fields = args[0], args[1:]
	if _, automatic := cutAutomatic(a.id); automatic || a.id == "*" {
		return a, ""
	}
	id, ok := parseID(a.id)
	switch {
	case !ok:
		return a, errStreamID
	case id.IsZero():
		return a, "ERR The ID specified in XADD must be greater than 0-0"
	}
	a.id = id.String()
	return a, ""
}

// cutAutomatic reads an id of the form "ms-*".
func cutAutomatic(s string) (ms uint64, ok bool) {
	text, ok := strings.CutSuffix(s, "-*")
	if !ok {
		return 0, false
	}
	ms, err := strconv.ParseUint(text, 10, 64)
	return ms, err == nil
}

// args returns the arguments as miniredis understands them.
func (a xaddArgs) args() []string {
	args := []string{a.key}
	if !a.create {
		args = append(args, "NOMKSTREAM")
	}
	args = append(args, a.trim.args()...)
	args = append(args, a.id)
	return append(args, a.fields...)
}

func parseXTrim(args []string) (key string, t trimming, fault string) {
	if len(args) < 3 {
		return "", t, "ERR wrong number of arguments for 'xtrim' command"
	}
	switch strings.ToUpper(args[1]) {
	case "MAXLEN", "MINID":
	default:
		return "", t, errSyntax
	}
	t, rest, fault := parseTrimming(args[1:])
	if fault == "" && len(rest) > 0 {
		fault = errSyntax
	}
	return args[0], t, fault
}

// parseID reads an id as publishers may write it: "ms" is "ms-0".
func parseID(s string) (stream.ID, bool) {
	ms, seq, whole := strings.Cut(s, "-")
	if !whole {
		seq = "0"
	}
	var id stream.ID
	var err1, err2 error
	id.Ms, err1 = strconv.ParseUint(ms, 10, 64)
	id.Seq, err2 = strconv.ParseUint(seq, 10, 64)
	return id, err1 == nil && err2 == nil
}
