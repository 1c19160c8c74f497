//go:build !linux

// Package floor is the least that delivering can cost.
package floor
