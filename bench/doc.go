// Package bench measures the gateway as a user meets it: a built pod, a real
// Redis and clients on real sockets. It holds benchmarks only:
//
//	make bench        or        go test -run '^$' -bench . ./bench
//
// Machines are shared and noisy, so what counts are medians, ratios between
// things measured in the same run, CPU time from /proc and Redis' own counts
// of commands. Latency is compared with a floor: a bare PUBLISH to a bare
// subscriber on the same Redis, in turn with the events. Redis does not write an
// append-only file here: PUBLISH would not wait for the disk, and XADD would.
package bench
