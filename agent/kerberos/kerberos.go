// Package kerberos shows a server who is asking by the ticket that a person's login left on this computer: it reads the ticket
// cache and krb5.conf, gets a ticket to the server from the KDC, and makes a token of it for each request.
//
// It writes nothing, and wants a password only where somebody has to show anew who they are (Prove). Caches in files are all it reads, neither the kernel's nor a daemon's; Windows' own
// tickets it does not read: it has Windows make the tokens (System).
package kerberos

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	krb "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/sealpost/sealpost/internal/spnego"
)

const (
	maxCache = 4 << 20
	usual    = "/etc/krb5.conf"
)

// Login is a person's ticket on this computer, or a computer's keys. It is safe for concurrent use.
type Login struct {
	client *krb.Client
	name   types.PrincipalName
	realm  string
	conf   *config.Config
	keys   bool                // a keytab's: the KDC is asked for a ticket when one is needed
	cache  *credentials.CCache // nil with a keytab
	now    func() time.Time

	// Ask asks the person for their password, for Prove. nil: there is nobody to ask.
	Ask func() (string, error)

	mu     sync.Mutex // the library's client is used by one at a time
	in     bool       // the KDC has given a ticket for the keys
	proofs map[string]held
}

// Open reads the ticket cache that env names (KRB5CCNAME, else the usual file) with its configuration (KRB5_CONFIG, else
// /etc/krb5.conf; without any, realms are found by DNS). now may be nil.
func Open(env func(string) string, now func() time.Time) (*Login, error) {
	if now == nil {
		now = time.Now
	}
	cache, err := readCache(env("KRB5CCNAME"))
	if err != nil {
		return nil, err
	}
	conf, err := readConf(env("KRB5_CONFIG"))
	if err != nil {
		return nil, err
	}
	l := &Login{name: cache.GetClientPrincipalName(), realm: cache.GetClientRealm(), conf: conf, cache: cache, now: now}
	tgt, ok := cache.GetEntry(types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{"krbtgt", l.realm}})
	if !ok && l.hasProof() {
		return l, nil
	}
	if !ok {
		return nil, ErrNoTicket
	}
	if now().After(tgt.EndTime) {
		return nil, ErrEnded.Withf("By this computer's clock the sign-in of %s ended on %s. If the clock is right, lock and unlock the screen, or run kinit; then try again.", l.Principal(), tgt.EndTime.Local().Format("2 January 15:04"))
	}
	if l.client, err = krb.NewFromCCache(cache, conf, krb.DisablePAFXFAST(true)); err != nil {
		return nil, ErrCache.Because(err)
	}
	return l, nil
}

// OpenKeytab reads the keys of a computer's principal (host/laptop7.example.com@EXAMPLE.COM, LAPTOP7$@EXAMPLE.COM) from a
// file, such as /etc/krb5.keytab, which only its administrator may read. The KDC is not asked for anything yet. KRB5_CONFIG is as for
// Open. now may be nil.
func OpenKeytab(env func(string) string, file, principal string, now func() time.Time) (*Login, error) {
	if now == nil {
		now = time.Now
	}
	name, realm, ok := strings.Cut(principal, "@")
	if !ok || name == "" || realm == "" {
		return nil, ErrKeytab.Withf("Say whose keys to use: --principal NAME@REALM, as klist -k shows it.")
	}
	conf, err := readConf(env("KRB5_CONFIG"))
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() > maxCache {
		return nil, ErrKeytab.Because(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, ErrKeytab.Because(err)
	}
	keys, err := readKeytab(content)
	if err != nil {
		return nil, err
	}
	has := false
	for _, e := range keys.Entries {
		has = has || strings.Join(e.Principal.Components, "/") == name && e.Principal.Realm == realm
	}
	if !has {
		return nil, ErrKeytab.Withf("%s has no keys of %s. klist -k shows whose it has.", file, principal)
	}
	return &Login{client: krb.NewWithKeytab(name, realm, keys, conf, krb.DisablePAFXFAST(true)), name: types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, name),
		realm: realm, conf: conf, keys: true, now: now}, nil
}

// Close forgets the tickets, and ends what would renew them. The Login is of no use any more.
func (l *Login) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.proofs)
	if l.client != nil {
		l.client.Destroy()
	}
}

func readKeytab(content []byte) (keys *keytab.Keytab, err error) {
	defer func() { // the library trusts lengths in the file
		if recover() != nil {
			keys, err = nil, ErrKeytab
		}
	}()
	keys = keytab.New()
	if err := keys.Unmarshal(content); err != nil {
		return nil, ErrKeytab.Because(err)
	}
	return keys, nil
}

// Principal is whose ticket it is.
func (l *Login) Principal() string { return l.name.PrincipalNameString() + "@" + l.realm }

func readCache(name string) (cache *credentials.CCache, err error) {
	kind, path, typed := strings.Cut(name, ":")
	switch {
	case name == "":
		path = filepath.Join(os.TempDir(), fmt.Sprintf("krb5cc_%d", os.Getuid()))
	case !typed, filepath.IsAbs(name):
		path = name
	case kind != "FILE" && kind != "WRFILE":
		return nil, ErrCache.Withf("The Kerberos ticket cache is of the kind %s, which this program cannot read. Run: KRB5CCNAME=FILE:/tmp/ticket kinit, and this program with the same KRB5CCNAME.", kind)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoTicket
	}
	if err != nil || info.Size() > maxCache {
		return nil, ErrCache.Because(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, ErrCache.Because(err)
	}
	defer func() { // the library trusts lengths in the file
		if recover() != nil {
			cache, err = nil, ErrCache
		}
	}()
	cache = new(credentials.CCache)
	if err := cache.Unmarshal(content); err != nil {
		return nil, ErrCache.Because(err)
	}
	return cache, nil
}

func readConf(names string) (*config.Config, error) {
	if names == "" {
		names = usual
	}
	for _, path := range filepath.SplitList(names) {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, ErrConf.Because(err)
		}
		conf, err := config.NewFromString(string(content))
		if unsupported := (config.UnsupportedDirective{}); err != nil && !errors.As(err, &unsupported) {
			return nil, ErrConf.Withf("The file %s cannot be read as a Kerberos configuration.", path).Because(err)
		}
		return conf, nil
	}
	conf := config.New()
	conf.LibDefaults.DNSLookupKDC = true
	return conf, nil
}

// Negotiate makes the token for one request to a host that showed this TLS certificate, and returns what checks the server's
// answer to it.
func (l *Login) Negotiate(_ context.Context, host string, server *x509.Certificate) (string, func(answer string) error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ticket, err := l.ticket(host)
	if err != nil {
		return "", nil, err
	}
	sent, err := spnego.Ticket{Ticket: ticket.ticket, Key: ticket.key, Realm: l.realm, Name: l.name}.Offer(l.now(), spnego.BindingOf(server))
	if err != nil {
		return "", nil, ErrCache.Because(err)
	}
	return sent.Token, func(answer string) error {
		if err := sent.Check(answer); err != nil {
			return ErrMutual.Because(err)
		}
		return nil
	}, nil
}

// ticket returns one to a host: the one that shows most.
func (l *Login) ticket(host string) (held, error) {
	if h, ok := l.proof(host); ok {
		return h, nil
	}
	if l.client == nil {
		return held{}, ErrNoTicket.Withf("In the Kerberos ticket cache there is no ticket to HTTP/%s, and none to get one with. Sign in to this computer with your organisation's account, or run kinit, then try again.", host)
	}
	if l.keys && !l.in {
		if err := l.client.Login(); err != nil {
			return held{}, l.explain("", err)
		}
		l.in = true
	}
	ticket, key, err := l.client.GetServiceTicket("HTTP/" + host)
	if err != nil {
		return held{}, l.explain(host, err)
	}
	return held{ticket: ticket, key: key}, nil
}
