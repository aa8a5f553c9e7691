package demo

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/ftptest"
)

// share is the folder that is a distribution point, in the demo's.
const share = "share"

// startFTP starts an FTP server with one door for Sealpost, which wants TLS and a password, and one for the world.
func (d *Demo) startFTP(ctx context.Context) (string, error) {
	log, err := os.Create(d.path("vsftpd.log"))
	if err != nil {
		return "", err
	}
	d.closers = append(d.closers, func() { _ = log.Close() })
	d.ftp, err = ftptest.Start(ctx, ftptest.Config{Dir: d.path("ftp"), Security: ftptest.Explicit, Log: log})
	if err != nil {
		return "", err
	}
	d.closers = append(d.closers, d.ftp.Stop)
	if err := child.MakeDir(d.path(share)); err != nil {
		return "", err
	}
	out, err := d.program(ctx, "curl", "-sS", "--max-time", "20", "--list-only", d.ftp.URL()+"/")
	if err != nil {
		return "", err
	}
	if out != "" {
		return "", fmt.Errorf("the folder that FTP shows is not empty: %s", clip(out))
	}
	return "curl over FTP, without a login: an empty folder", nil
}

// furtherPoints are where lists are brought besides HTTP and LDAP.
func (d *Demo) furtherPoints() ([]setup.Point, error) {
	if d.ftp == nil {
		return nil, nil
	}
	return []setup.Point{
		{Name: "share", Folder: share},
		{Name: "ftp", URL: d.ftp.URL(), FTP: d.ftp.Address(), Trust: d.ftp.TrustFile, Login: ftptest.Login, PasswordFile: d.ftp.PasswordFile},
	}, nil
}

// place is a distribution point as outsiders know it.
type place struct {
	name    string // of the file in crl/ that keeps what was fetched there
	point   string // the name in Sealpost's status
	address string // of one of the issuing authority's lists
}

// places returns where outsiders find one of the issuing authority's lists.
func (d *Demo) places(k crl.Kind) []place {
	file := k.FileName(setup.IssuerID)
	shared := url.URL{Scheme: "file", Path: d.path(share, file)}
	return []place{
		{"http", "http", d.config.CRLURL(setup.IssuerID, k)},
		{"ldap", "ldap-" + setup.IssuerID, d.config.LDAPURL(d.config.Issuers[0], k)},
		{"file", "share", shared.String()},
		{"ftp", "ftp", d.ftp.URL() + "/" + file},
	}
}

// fetch gets what is at an address with programs that are not ours, without any login.
func (d *Demo) fetch(ctx context.Context, address string) ([]byte, error) {
	if strings.HasPrefix(address, "ldap:") {
		return d.fetchLDAP(ctx, address)
	}
	dir, err := os.MkdirTemp(d.sockets, "fetched-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "file")
	if _, err := d.program(ctx, "curl", "-sS", "--fail", "--max-time", "20", "-o", file, address); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// fetchLDAP asks the directory for what an LDAP URL names (RFC 4516): ldap://host/dn?attribute?scope?filter
func (d *Demo) fetchLDAP(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	query := strings.Split(u.RawQuery, "?")
	if len(query) != 3 {
		return nil, fmt.Errorf("%s does not name attribute, scope and filter", address)
	}
	ldif, err := d.program(ctx, "ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-x", "-H", u.Scheme+"://"+u.Host, "-b", strings.TrimPrefix(u.Path, "/"), "-s", query[1], query[2], query[0])
	if err != nil {
		return nil, err
	}
	values, err := binaryValues(ldif, query[0])
	if err != nil {
		return nil, err
	}
	if len(values) != 1 {
		return nil, fmt.Errorf("the directory shows %d values at %s", len(values), address)
	}
	return values[0], nil
}
