// Package integration holds the tests that use the gateway as its users do:
// built binaries, a real Redis, real sockets, real browsers, and everything
// that goes wrong between them. There is nothing in it but tests.
//
//	rig      starts and breaks: pods, Redis, proxies, browsers
//	check    compares what clients got with what Redis holds
//	proof_*  the promise, under all faults at once
//	others   one behaviour each
//
// What a run of the proof did is decided by its seed, which it prints:
//
//	PROOF_SEED=17 PROOF_DURATION=10m go test ./integration -run TestPromise -timeout 0 -v
//
// Its pods are a mix of those that own their sockets and those that leave them
// to net/http; PROOF_TRANSPORT=direct or portable makes all of one kind.
//
// Redis is the redis-server in PATH or, with -tags containers, a container of
// the image TEST_REDIS_IMAGE.
package integration
