package server

import (
	"fmt"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/internal/keys"
)

// Keytab returns the content of the server's Kerberos keytab, if the configuration names one. It must hold what the
// configuration says.
func Keytab(c *config.Config) ([]byte, error) {
	if !c.Kerberos.Configured() {
		return nil, nil
	}
	content, err := keys.ReadKeytab(c.Path(c.Kerberos.Keytab))
	if err != nil {
		return nil, fmt.Errorf("keytab: %w", err)
	}
	return content, c.Kerberos.CheckKeytab(content)
}
