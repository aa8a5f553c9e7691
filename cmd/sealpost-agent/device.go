package main

import (
	"os"
	"runtime"
	"strings"
)

// userAgent is how the agent calls itself to the server: with its version, the system and the machine's name, by which people
// tell their devices apart in the portal.
func userAgent() string {
	host, err := os.Hostname()
	if err != nil {
		host = "" // then it is not said
	}
	return userAgentOf(version(), runtime.GOOS, host)
}

// maxHost is how many bytes of a machine's name are said.
const maxHost = 64

func userAgentOf(version, system, host string) string {
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return -1
	}, host)
	name := "sealpost-agent/" + version + " (" + system
	if host = host[:min(len(host), maxHost)]; host != "" {
		name += "; " + host
	}
	return name + ")"
}
