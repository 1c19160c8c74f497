// Bench measures the gateway as its users meet it: a built pod, a real Redis
// and thousands of clients on real sockets, each a process of its own.
//
//	make bench                       or   go run ./bench
//	make bench BENCH=one-to-many     or   go run ./bench -run one-to-many
//
//	publisher (this process) ──XADD──► Redis ──► pod   ──► load, N sockets
//	                                             floor ──► the same
//
// Machines are shared and noisy, so what counts are ratios between things
// measured in the same round, medians over rounds, CPU time from /proc and
// Redis' own counts of commands. The floor is a process that writes the same
// bytes to as many sockets in a bare loop. docs/performance.md says more.
//
// The program starts itself again in two roles, "bench load" and "bench floor".
package main
