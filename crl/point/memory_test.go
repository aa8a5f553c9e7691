package point_test

import (
	"runtime"
	"testing"

	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/s3test"
)

// A large list passes through, and is at no time in memory as a whole. This test runs alone, so that what is counted is its own.
func TestLargeListsPassThrough(t *testing.T) {
	ca := newIssuer(t, "Issuing")
	one, two := ca.large(t, 1, 64<<20), ca.large(t, 2, 64<<20)
	for name, p := range map[string]point.Point{
		"folder": folder(t, point.FolderConfig{Path: t.TempDir()}),
		"ftp":    newFTP(t, ftptest.New(t, ftptest.Config{})),
		"ftps":   newFTP(t, ftptest.New(t, ftptest.Config{Security: ftptest.Explicit})),
		"s3":     newS3(t, s3test.New(t, s3test.Config{})),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		must(t, p.Put(t.Context(), one))
		must(t, p.Put(t.Context(), two)) // reads the first
		runtime.ReadMemStats(&after)
		const most = 32 << 20 // for four passages; far less without the race detector
		if used := after.TotalAlloc - before.TotalAlloc; used > most {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
	}
}
