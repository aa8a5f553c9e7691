package sambatest

import (
	"bytes"
	"crypto/x509"
	"errors"
	"text/template"

	"github.com/sealpost/sealpost/internal/child"
)

// smb.conf, for a controller that offers LDAP and Kerberos and nothing else, and keeps all that it writes in its folder.
var conf = template.Must(template.New("smb.conf").Parse(`[global]
	netbios name = DC1
	realm = AD.TEST
	workgroup = ADT
	server role = active directory domain controller
	server services = ldap, cldap, kdc, rpc
	interfaces = 127.0.0.1/8
	bind interfaces only = yes
	private dir = {{.}}/private
	lock directory = {{.}}/lock
	state directory = {{.}}/state
	cache directory = {{.}}/cache
	binddns dir = {{.}}/bind-dns
	pid directory = {{.}}/run
	ncalrpc dir = {{.}}/ncalrpc
	ntp signd socket directory = {{.}}/ntp
	winbindd socket directory = {{.}}/winbindd
	log file = {{.}}/log.%m
	usershare max shares = 0
	tls enabled = yes
	tls keyfile = {{.}}/tls/server.key
	tls certfile = {{.}}/tls/server.pem
	tls cafile = {{.}}/tls/ca.pem
	# Kerberos within TLS, as Active Directory allows it.
	ldap server require strong auth = allow_sasl_over_tls
[sysvol]
	path = {{.}}/state/sysvol
[netlogon]
	path = {{.}}/state/sysvol/ad.test/scripts
`))

// folders must be there, or samba makes them where its package was built to have them.
var folders = []string{"private", "lock", "state", "cache", "bind-dns", "run", "ncalrpc", "ntp", "winbindd", "tls"}

// clients is what programs of MIT Kerberos need to find the controller.
var clients = template.Must(template.New("krb5.conf").Parse(`[libdefaults]
	default_realm = AD.TEST
	dns_lookup_realm = false
	dns_lookup_kdc = false
	rdns = false
	dns_canonicalize_hostname = false
	udp_preference_limit = 1
[realms]
	AD.TEST = {
		kdc = {{.}}
	}
[domain_realm]
	.ad.test = AD.TEST
	localhost = AD.TEST
`))

// prepare writes what the controller reads.
func (s *Server) prepare() error {
	for _, f := range folders {
		if err := child.MakeDir(s.path(f)); err != nil {
			return err
		}
	}
	if err := s.write("domain.py", program); err != nil {
		return err
	}
	var b, k bytes.Buffer
	if err := errors.Join(conf.Execute(&b, s.dir), clients.Execute(&k, s.KDC())); err != nil {
		return err
	}
	return errors.Join(s.write("smb.conf", b.Bytes()), s.write("krb5.conf", k.Bytes()), s.prepareTLS())
}

func (s *Server) prepareTLS() error {
	cert, trust, err := child.Loopback("Domain controller")
	if err != nil {
		return err
	}
	s.Trust, s.TrustFile = x509.NewCertPool(), s.path("tls/ca.pem")
	s.Trust.AppendCertsFromPEM(trust)
	chain, key, err := child.PEM(cert)
	if err != nil {
		return err
	}
	return errors.Join(s.write("tls/ca.pem", trust), s.write("tls/server.pem", chain), s.write("tls/server.key", key))
}
