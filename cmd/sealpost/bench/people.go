package bench

import (
	"crypto/sha1" // what slapd's {SSHA} is made of; the passwords are samples
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/slapdtest"
)

// login returns the login of the n-th of many people.
func login(n int) string { return fmt.Sprintf("p%05d", n) }

// company returns many people as LDIF.
func company(n int) string {
	var b strings.Builder
	for i := range n {
		who := login(i)
		sum := sha1.Sum([]byte(slapdtest.Password(who) + "salt"))
		fmt.Fprintf(&b, "dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: Person %05d\ngivenName: Person\nsn: Number%05d\nemployeeNumber: %d\nmail: %s@example.test\nuserPassword: {SSHA}%s\n\n",
			slapdtest.PersonDN(who), who, i, i, 100_000+i, who, base64.StdEncoding.EncodeToString(append(sum[:], "salt"...)))
	}
	return b.String()
}
