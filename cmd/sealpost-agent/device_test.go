package main

import (
	"strings"
	"testing"
)

func TestUserAgent(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"laptop-7":                 "sealpost-agent/1.0 (linux; laptop-7)",
		"":                         "sealpost-agent/1.0 (linux)",
		"a) evil;\r\nX: é":         "sealpost-agent/1.0 (linux; aevilX)",
		strings.Repeat("a", 300):   "sealpost-agent/1.0 (linux; " + strings.Repeat("a", 64) + ")",
		"pc_1.office.example.test": "sealpost-agent/1.0 (linux; pc_1.office.example.test)",
	} {
		if got := userAgentOf("1.0", "linux", host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
