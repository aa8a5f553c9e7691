package portal

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDevices(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0":                                                        "Firefox on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                                   "Chrome on Linux",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36":                           "Chrome on Linux",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                          "Chrome on ChromeOS",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                   "Safari on Mac",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:143.0) Gecko/20100101 Firefox/143.0":                                                    "Firefox on Mac",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1":  "Chrome on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/143.0 Mobile/15E148 Safari/605.1.15":        "Firefox on iPad",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36":                         "Chrome on Android",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":     "Samsung Internet on Android",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0":           "Opera on Windows",
		"Mozilla/5.0 (Windows NT 10.0)":          "A browser on Windows",
		"Mozilla/5.0":                            "Unknown device",
		"":                                       "Unknown device",
		"sealpost-agent/1.0 (linux; laptop-7)":   "sealpost-agent on laptop-7",
		"sealpost-agent/v0.3.1 (linux)":          "sealpost-agent on Linux",
		"sealpost-agent/1.0 (plan9)":             "sealpost-agent",
		"sealpost-agent/(unknown) (darwin; m-1)": "sealpost-agent on m-1",
		"sealpost-agent/1.0":                     "sealpost-agent",
		"curl/8.5.0":                             "curl/8.5.0",
		"<script>alert(1)</script>":              "<script>alert(1)</script>",
		strings.Repeat("x", 256):                 strings.Repeat("x", 40) + "…",
	} {
		if got := english.deviceOf(agent); got.Words != want || got.Icon == "" {
			t.Errorf("%q: %+v, want %q", agent, got, want)
		}
	}
	if got := german.deviceOf("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0").Words; got != "Firefox unter Linux" {
		t.Errorf("in German: %q", got)
	}
}

func FuzzDevice(f *testing.F) {
	f.Add("Mozilla/5.0 (Windows NT 10.0) Firefox/1")
	f.Add("sealpost-agent/1.0 (linux; laptop-7)")
	f.Add("sealpost-agent/ (;")
	f.Add(" ")
	f.Add("/1.0")
	f.Fuzz(func(t *testing.T, agent string) {
		if !utf8.ValidString(agent) {
			return
		}
		if got := english.deviceOf(agent); got.Words == "" || !utf8.ValidString(got.Words) || len(got.Words) > 120 {
			t.Errorf("%q: %q", agent, got.Words)
		}
	})
}

func TestApart(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                               "",
		"Alice Anders":                   "Alice Anders",
		"ليلى حداد":                      "\u2068ليلى حداد\u2069",
		"Eve \u202egnirtS":               "\u2068Eve gnirtS\u2069",
		"Eve\u2069 \u2068x\u2066y\u2067": "\u2068Eve xy\u2069",
		"王小明":                            "\u2068王小明\u2069",
	} {
		if got := apart(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
