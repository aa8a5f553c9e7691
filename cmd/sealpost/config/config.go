// Package config is the server's one configuration file: YAML, decoded strictly, checked whole, its faults reported all
// at once with the path of each. The comments of its structs are the manual.
//
// It owns the file's form and where secrets come from. What a value means is decided by the room that it is handed to.
package config

import (
	"strings"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/clients"
	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

//go:generate go test ./manual -run ^TestPageIsCurrent$ -count=1 -update

// maxSize bounds the file, in bytes.
const maxSize = 1 << 20

// Config is the file. Relative paths in it start at the folder that the file lies in.
type Config struct {
	// Organisation goes into every certificate's subject.
	Organisation ca.Organisation `yaml:"organisation"`

	// PolicyArc is the organisation's own OID arc for certificate policies, such as 1.3.6.1.4.1.99999.1; "" means a
	// placeholder that says nothing to anybody. Register one (free, at IANA) before certificates leave the house.
	PolicyArc string `yaml:"policy_arc"`

	// PublicURL is where relying parties, outside the organisation too, reach the public listener: plain HTTP, because a
	// client that checks a certificate cannot do so by a connection that needs one. It is written into certificates;
	// change it only with a new issuer.
	PublicURL string `yaml:"public_url"`

	Database  Database           `yaml:"database"`
	Unlock    Unlock             `yaml:"unlock"`
	Listen    Listen             `yaml:"listen"`
	Issuers   []Issuer           `yaml:"issuers"`
	Names     ca.NamePolicy      `yaml:"names"`
	Profiles  []ca.ProfileConfig `yaml:"profiles"`
	Enrolment Enrolment          `yaml:"enrolment"`
	Archive   Archive            `yaml:"archive"`
	Recovery  Recovery           `yaml:"recovery"`
	Mail      Mail               `yaml:"mail"`
	TestMail  TestMail           `yaml:"test_mail"`
	Directory directory.Config   `yaml:"directory"`
	Leavers   leaver.Policy      `yaml:"leavers"`
	Fleet     fleet.Policy       `yaml:"fleet"`
	GAL       GAL                `yaml:"gal"`
	CRL       CRL                `yaml:"crl"`
	OCSP      OCSP               `yaml:"ocsp"`
	Finding   Finding            `yaml:"finding"`
	Portal    Portal             `yaml:"portal"`
	Limits    web.Limits         `yaml:"limits"`

	// Kerberos has people come in with the ticket of their computer's login, at the API and in the portal. Without it nobody does.
	Kerberos signin.KerberosPolicy `yaml:"kerberos"`

	// DeviceLogin has people's agents come in by the organisation's identity provider, where they type a code. Without it none do.
	DeviceLogin signin.DevicePolicy `yaml:"device_login"`

	// Publications are further files that the public listener serves: the root's certificate and its revocation list, which
	// the issuing certificate names.
	Publications []Publication `yaml:"publications"`

	Audit Audit `yaml:"audit"`
	Log   Log   `yaml:"log"`

	dir string // of the file
}

// Portal says how people use Sealpost with their browsers. There is one where listen.portal is set.
type Portal struct {
	URL      string         `yaml:"url"`      // by which people reach it: https://… (required with openid and certificates)
	Sessions session.Policy `yaml:"sessions"` // how long they stay signed in
	// Requests bounds how many pages one person may ask for, or one network whose people are not signed in; empty means 200 at
	// once, and one more per 100ms.
	Requests allowance.Allowance `yaml:"requests"`
	OpenID   signin.OpenIDPolicy `yaml:"openid"` // where they sign in, beside with the directory's password
	// Certificates is listen.api as browsers reach it, https://host:port, for people who sign in with a certificate: browsers
	// are asked for one there alone. The certificate has to be one that browsers take for that (profile person-auth); those
	// for mail, most do not offer. Empty means that nobody signs in so.
	Certificates string `yaml:"certificates"`
	// OfficersApprove lets recovery officers answer cases in the browser, with their keys in a PKCS#12 file that is opened in
	// the page alone. It withstands somebody who steals what the server keeps, and not a server that sends other scripts: that
	// one could take the officers' keys. False, which is safer, leaves it to sealpost-kra (docs/portal.md).
	OfficersApprove bool `yaml:"officers_approve"`

	Mail clients.Policy `yaml:"mail"` // what people's mail programs are told
}

// Database says where PostgreSQL is.
type Database struct {
	// URL is the server's way in. Its user is the login role that `sealpost migrate` creates (sealpost_server), which
	// owns nothing. A password does not belong here: use url_file, ~/.pgpass, or a Unix socket.
	URL     string `yaml:"url"`
	URLFile string `yaml:"url_file"` // a file that holds the URL, instead

	// AdminURL is for `sealpost migrate` alone: a role that may create roles and schemas.
	AdminURL     string `yaml:"admin_url"`
	AdminURLFile string `yaml:"admin_url_file"` // a file that holds it, instead

	MaxConns   int32  `yaml:"max_conns"`   // connections of one server; 0 means 16
	RolePrefix string `yaml:"role_prefix"` // of the database roles; "" means sealpost_
}

// Unlock says where the passphrase comes from that encrypts key files and the exchange's private keys. Exactly one is
// set.
type Unlock struct {
	PassphraseFile string `yaml:"passphrase_file"` // its first line; the file must not be readable by others
	PassphraseEnv  string `yaml:"passphrase_env"`  // name of an environment variable
}

// Listen says where the server listens.
type Listen struct {
	Public string `yaml:"public"` // plain HTTP: CRLs, CA certificates, OCSP. "127.0.0.1:8080"
	API    string `yaml:"api"`    // HTTPS: REST, with optional client certificates. "127.0.0.1:8443"

	// Portal is where the portal listens: HTTPS, with the same certificate as the API. Empty means that there is none.
	Portal string `yaml:"portal"`

	// Hosts are the names in the API's server certificate, which the server then issues itself, with a key that never
	// leaves its memory, and renews. Each must be allowed by names.hosts.
	Hosts []string `yaml:"hosts"`

	// Certificate is a file with the API's server certificate (PEM, leaf first), instead of hosts. It is read once, at the
	// start.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"` // file with its private key (PEM, not encrypted: keep it from others)

	// Metrics is where Prometheus finds metrics, without authentication: an address that outsiders do not reach. Empty
	// means nowhere.
	Metrics string `yaml:"metrics"`
}

// Issuer is one certificate authority. Certificates name its URLs, which begin with public_url. The first is the one
// that profiles mean which name none.
type Issuer struct {
	ID          string `yaml:"id"`          // lower-case letters, digits, hyphens: part of URLs
	Certificate string `yaml:"certificate"` // PEM: the issuing certificate, then those above it up to the root
	Key         string `yaml:"key"`         // URI: file:issuing.key (encrypted), pkcs11:…

	// Partitions is how many parts the revocation list is also published in, so that a client need not fetch all of it; at
	// most 1024, 0 means none. A certificate names the list of its part first, which is chosen at random when it is made, and
	// then the whole list, which GnuPG needs. It is worth it from some ten thousand revoked certificates on.
	Partitions int `yaml:"partitions"`

	// LDAP is the second place where relying parties find the CRL, after HTTP: the URL's host and the entry's name. Empty
	// means none.
	LDAP LDAPPoint `yaml:"ldap"`
}

// LDAPPoint is a directory entry that holds CA certificate and CRL.
type LDAPPoint struct {
	// URL has the scheme, host and port that relying parties use: "ldap://ldap.example.com". In Active Directory it may be
	// "ldap:///", with no host: members of the domain find one, and Sealpost looks with its own account what is there.
	URL string `yaml:"url"`
	DN  string `yaml:"dn"` // of the entry; created when absent and allowed

	// Lists is the entry for the lists if they are not in the one above: in Active Directory they are in the container CDP, and
	// certificates in AIA.
	Lists string `yaml:"lists"`
}

// host is the host and port that relying parties use; "" if they find one themselves.
func (p LDAPPoint) host() string {
	return strings.TrimSuffix(strings.TrimPrefix(p.URL, "ldap://"), "/")
}

// ForEverybody reports whether the address leads outsiders to a server.
func (p LDAPPoint) ForEverybody() bool { return p.host() != "" }

// Enrolment says what people may ask for.
type Enrolment struct {
	Plans   []enroll.Plan `yaml:"plans"`  // empty: "smime", a dual pair, without endorsement
	Issuer  string        `yaml:"issuer"` // of the exchange certificate; "" means the first
	Renewal Renewal       `yaml:"renewal"`
	Old     Old           `yaml:"old"`
	// Attestation says whom the server believes where a key was made, for plans whose keys have to be attested.
	Attestation Attestation `yaml:"attestation"`
}

// Renewal says when clients renew: each at a moment of its own between two parts of a certificate's life, so that certificates that were
// issued together are not renewed together.
type Renewal struct {
	From  float64 `yaml:"from"`  // 0 means 0.7
	Until float64 `yaml:"until"` // 0 means halfway between from and the end
}

// Old says what clients do with keys and certificates that newer ones have taken the place of. Encryption keys stay always.
type Old struct {
	KeepSigningKeys bool `yaml:"keep_signing_keys"` // false: an old signing key is erased as soon as there is a new one
	RevokeAfterDays int  `yaml:"revoke_after_days"` // old certificates to sign with are revoked then; 0: never, they just end
}

// Attestation names files with certificates, PEM.
type Attestation struct {
	TPMRoots     string `yaml:"tpm_roots"`     // of the makers of TPMs that endorse them, and of their authorities that TPMs do not have themselves
	YubiKeyRoots string `yaml:"yubikey_roots"` // of Yubico's PIV attestation
}

// Archive says how encryption keys are kept. Leave it out where no profile archives keys.
type Archive struct {
	// RosterPins are SHA-256 hashes (hexadecimal) of the roster files that may receive keys, as `sealpost-kra ceremony`
	// prints them. The first is the active one; a second only while agents change.
	RosterPins []string `yaml:"roster_pins"`

	// WrappingKeys are files with the sealed keys of the archive's outer layer. New records use the first; the others stay
	// as long as a record needs them (`sealpost wrapping check`). They are not in the database, and without them the archive
	// is lost: keep the offline backups that `sealpost init` and `sealpost wrapping rotate` write.
	WrappingKeys []string `yaml:"wrapping_keys"`

	ReceiptKey string `yaml:"receipt_key"` // URI of the key that signs receipts

	// DrillEvery is how long the officers' last drill may lie back, or, if they never had one, the day on which their roster
	// was brought in. Then the server's log, `sealpost check --connect`, `sealpost archive status` and two metrics say so;
	// nothing stops. mail.operators are told too. 0 means 4800h: twice a year.
	DrillEvery Duration `yaml:"drill_every"`
}

// Recovery says how long recovery cases may last.
type Recovery struct {
	Longest Duration `yaml:"longest"` // from a case's opening to its deadline; 0 means 720h
	Silence Duration `yaml:"silence"` // the longest that the subjects of a legal case are not told of it; 0 means 4320h
}

// Mail says by which mail server people are told of recovery cases: whose keys are asked for, who decides, who receives; and
// operators of what needs them.
// Leave it out where there is none; then people are told in no other way, and the server says so in its log at the start.
type Mail struct {
	Host string `yaml:"host"` // of the mail server; empty means that nobody is told by mail
	Port int    `yaml:"port"` // 0 means 587, with tls: implicit 465, with tls: none 25

	// TLS is starttls (default), implicit, or none, which is taken only for a server on the same machine and without a
	// user.
	TLS string `yaml:"tls"`

	// TrustFile holds the certificates (PEM) of the CAs that the server's certificate must come from. Empty means those
	// that the operating system trusts.
	TrustFile string `yaml:"trust_file"`

	User         string `yaml:"user"`          // to log in as; empty means no login
	PasswordFile string `yaml:"password_file"` // its first line is the user's password; the file must not be readable by others

	From string `yaml:"from"` // sender: "Example CA <ca@example.com>"

	// Contact is whom people are told to turn to if something is wrong, as part of a sentence. "" means "your IT help desk".
	Contact string `yaml:"contact"`

	// Operators are the mail addresses of those who run Sealpost. They are told of revocation lists that run out, of
	// distribution points that fail, and of an overdue drill: at most once a day (of a drill once a week), and once when it is
	// good again. Empty means that the log alone says so.
	Operators []string `yaml:"operators"`
}

// Finding says to whom people's encryption certificates are shown that are found without the directory: by their exact mail
// address, the current one alone, and nothing of people who have left. People who log in find each other over REST in any
// case. Left out, nothing is shown to anybody else (docs/finding.md).
type Finding struct {
	Store  gal.Audience `yaml:"store"`  // the HTTP certificate store: public_url/certs/search?email=…
	VCard  gal.Audience `yaml:"vcard"`  // vCards: public_url/vcard?email=…
	SMIMEA gal.Audience `yaml:"smimea"` // records for the domain name system, which `sealpost smimea` writes

	// Burst is how many lookups one network (an IPv4 address, or an IPv6 /64) may make at once; 0 means 60. So many may each
	// person who logs in.
	Burst int      `yaml:"burst"`
	Every Duration `yaml:"every"` // after which one more is allowed; 0 means 2s
}

// OCSP says how the OCSP responder answers. It may be left out.
type OCSP struct {
	// Validity is the time until nextUpdate: from 8h, the least that the S/MIME Baseline Requirements allow, to 239h; 0 means
	// 8h. Clients may keep an answer for so long, and servers go on for so long with what they know when the database is away.
	Validity Duration `yaml:"validity"`
	// MaxAge is how long HTTP caches may keep an answer, which is how much later a revocation is seen through them: at most
	// half of validity; 0 means 10m.
	MaxAge Duration `yaml:"max_age"`

	Keep int `yaml:"keep"` // of how many certificates each server keeps answers in memory, with about 1 KiB each; 0 means 20000
}

// Publication is a file that the public listener serves.
type Publication struct {
	Path string `yaml:"path"` // in public_url: "/crl/root.crl"
	File string `yaml:"file"` // read anew at each request
	Type string `yaml:"type"` // media type: application/pkix-crl, application/pkix-cert
}

// Audit says how the log is signed and where its checkpoints are kept outside the database.
type Audit struct {
	Origin string `yaml:"origin"` // the log's name: "example.com/sealpost"
	Key    string `yaml:"key"`    // URI of an Ed25519 key

	Files     []string `yaml:"files"`     // files that checkpoints are appended to
	Syslog    []string `yaml:"syslog"`    // "unixgram:///dev/log", "udp://host:514", "tcp://host:514"
	Addresses []string `yaml:"addresses"` // URLs that checkpoints are posted to

	Interval Duration `yaml:"interval"` // between checkpoints; 0 means 500ms
}

// Log says what is logged. It goes to standard error, as JSON.
type Log struct {
	Level string `yaml:"level"` // debug, info (default), warn, error
}
