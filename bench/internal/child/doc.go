//go:build !linux

// Package child starts the processes of a measurement and ends them.
package child
