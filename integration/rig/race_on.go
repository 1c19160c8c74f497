//go:build race

package rig

// raceDetector says how programs are built: as the tests are.
const raceDetector = true
