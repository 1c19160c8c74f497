// Package rig starts what the integration tests run against, and stops it:
// gateway binaries (pods), a Redis of its own, a proxy, browsers. All of it
// are real processes talking over real sockets on loopback, so that a test
// can do to them what happens in production: kill, freeze, cut, restart.
//
// Nothing here uses a server that was there before, and no process outlives
// its test: each is the leader of a process group that is killed at the end,
// and on Linux dies with the test binary even if that is killed itself.
package rig
