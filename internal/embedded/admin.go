package embedded

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// info returns the reply to INFO: the named sections, or all.
func (s *Server) info(wanted []string) string {
	sections := []struct{ name, text string }{
		{"Server", fmt.Sprintf("server_name:sse-gateway\nredis_version:7.0.0\nredis_mode:standalone\nrun_id:%s\nuptime_in_seconds:%d\n",
			s.runID, int(time.Since(s.began).Seconds()))},
		{"Clients", fmt.Sprintf("connected_clients:%d\n", s.srv.ClientsLen())},
		{"Memory", "maxmemory:0\nmaxmemory_policy:noeviction\n"},
		{"Persistence", "loading:0\nrdb_last_save_time:0\naof_enabled:0\n"},
		{"Stats", fmt.Sprintf("total_connections_received:%d\ntotal_commands_processed:%d\n", s.srv.TotalConnections(), s.srv.TotalCommands())},
		{"Replication", fmt.Sprintf("role:master\nconnected_slaves:0\nmaster_replid:%s\nmaster_repl_offset:0\n", s.runID)},
		{"Cluster", "cluster_enabled:0\n"},
	}
	var b strings.Builder
	for _, sec := range sections {
		if len(wanted) > 0 && !names(wanted, sec.name) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + sec.name + "\r\n" + strings.ReplaceAll(sec.text, "\n", "\r\n"))
	}
	return b.String()
}

func names(wanted []string, section string) bool {
	for _, w := range wanted {
		switch strings.ToLower(w) {
		case "all", "default", "everything", strings.ToLower(section):
			return true
		}
	}
	return false
}

// settings are what CONFIG GET tells. None can be changed; notifications are
// always on.
var settings = []struct{ name, value string }{
	{"appendonly", "no"},
	{"databases", "16"},
	{"maxmemory", "0"},
	{"maxmemory-policy", "noeviction"},
	{"notify-keyspace-events", notifications},
	{"save", ""},
}

const (
	notifyOption  = "notify-keyspace-events"
	notifications = "Kgxet" // all that the gateway asks for; nothing is ever evicted here
)

// config answers CONFIG. It accepts notify-keyspace-events, so that what
// configures a Redis can configure this one.
func config(p *server.Peer, args []string) {
	switch {
	case len(args) >= 2 && strings.EqualFold(args[0], "GET"):
		var found []string
		for _, s := range settings {
			for _, pattern := range args[1:] {
				if ok, _ := path.Match(strings.ToLower(pattern), s.name); ok {
					found = append(found, s.name, s.value)
					break
				}
			}
		}
		p.WriteMapLen(len(found) / 2)
		for _, f := range found {
			p.WriteBulk(f)
		}
	case len(args) == 3 && strings.EqualFold(args[0], "SET"):
		if !strings.EqualFold(args[1], notifyOption) {
			p.WriteError("ERR CONFIG SET failed (possibly related to argument '" + args[1] + "') - this Redis is built into the gateway and has no such setting")
			return
		}
		p.WriteOK()
	case len(args) == 1 && strings.EqualFold(args[0], "RESETSTAT"):
		p.WriteOK()
	default:
		p.WriteError("ERR unknown subcommand or wrong number of arguments for 'config' command")
	}
}
