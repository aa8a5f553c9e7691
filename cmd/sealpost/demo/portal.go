package demo

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// portal signs alice in with a program that runs no scripts: the page shows what she has without them.
func (d *Demo) portal(ctx context.Context) (string, error) {
	form := []byte("data-urlencode = \"login=alice\"\ndata-urlencode = \"password=" + slapdtest.Password("alice") + "\"\n")
	page, err := d.programWith(ctx, nil, form, "curl", "-K", "-", "-sS", "--fail-with-body", "--max-time", "20", "--cacert", setup.RootCertificate,
		"--cookie", "", "--location", d.config.Portal.URL+"/signin")
	if err != nil {
		return "", err
	}
	for _, want := range []string{"Your signing certificate", "Your encryption certificate", "alice@example.test"} {
		if !strings.Contains(page, want) {
			return "", fmt.Errorf("the page does not say %q: %s", want, clip(page))
		}
	}
	if n := strings.Count(page, "<strong>Valid</strong>"); n != 2 {
		return "", fmt.Errorf("the page shows %d valid certificates", n)
	}
	return "curl, without scripts: both are shown as valid", nil
}
