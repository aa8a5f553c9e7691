package testmail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/sealpost/sealpost/internal/mail"
)

// Security says how the connection to a mailbox is protected. There is none without TLS.
type Security string

// The ways.
const (
	Implicit Security = "implicit" // TLS from the first byte (RFC 8314)
	StartTLS Security = "starttls"
)

// Mailbox is where answers arrive, read by IMAP (RFC 3501, RFC 9051).
type Mailbox struct {
	Host     string
	Port     int            // 0 means the usual one of Security: 993, 143
	Security Security       // "" means Implicit
	Trust    *x509.CertPool // nil means the system's
	User     string
	Password string
	Folder   string        // "" means INBOX
	Timeout  time.Duration // of one visit; 0 means 30 seconds
}

// Validate returns every fault, each with the setting's name, joined. A password is not asked for: it lies elsewhere.
func (m Mailbox) Validate() error {
	var errs []error
	say := func(setting, what string) { errs = append(errs, fmt.Errorf("%s: %s", setting, what)) }
	if m.Host == "" || strings.ContainsAny(m.Host, "/: \r\n") && net.ParseIP(m.Host) == nil {
		say("host", "must be a host's name or address, without a port")
	}
	if m.Port < 0 || m.Port > 65535 {
		say("port", "must lie between 1 and 65535")
	}
	if m.Security != "" && m.Security != Implicit && m.Security != StartTLS {
		say("tls", "must be implicit or starttls; a password does not travel in the clear")
	}
	if m.User == "" || strings.ContainsAny(m.User, "\r\n\x00") {
		say("user", "is missing, or no line")
	}
	if strings.ContainsAny(m.Folder, "\r\n\x00*%") || len(m.Folder) > 200 {
		say("folder", "must be the name of one folder")
	}
	return errors.Join(errs...)
}

// Limits of one visit.
const (
	mailboxTimeout = 30 * time.Second
	mostAtOnce     = 50       // mails that are looked at; the others wait for the next visit
	maxHead        = 32 << 10 // bytes of a mail's header
	maxBrought     = 64 << 20 // bytes that the server may send in all
)

// letterBox is an open folder.
type letterBox struct {
	client *imapclient.Client
}

// envelope is a mail in a folder: its header, and how large it is.
type envelope struct {
	uid  imap.UID
	size int64
	head []byte
}

// Check connects, logs in and opens the folder.
func (m Mailbox) Check(ctx context.Context) error {
	return m.visit(ctx, true, func(*letterBox) error { return nil })
}

// visit opens the folder and does something there.
func (m Mailbox) visit(ctx context.Context, readOnly bool, do func(*letterBox) error) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(m.Timeout, mailboxTimeout))
	defer cancel()
	unavailable := func(what string, err error) error {
		return ErrMailbox.Withf("The test mailbox cannot be read: %s.", what).Because(err)
	}
	port := cmp.Or(m.Port, map[Security]int{StartTLS: 143}[m.Security], 993)
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(m.Host, strconv.Itoa(port)))
	if err != nil {
		return unavailable("its server cannot be reached", err)
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	client, err := m.client(ctx, mail.Bound(raw, maxBrought))
	if err != nil {
		return unavailable("its server's certificate or greeting is not as it should be", err)
	}
	defer client.Close()
	if err := client.Login(m.User, m.Password).Wait(); err != nil {
		return unavailable("its server does not let Sealpost in", err)
	}
	if _, err := client.Select(cmp.Or(m.Folder, "INBOX"), &imap.SelectOptions{ReadOnly: readOnly}).Wait(); err != nil {
		return unavailable("its folder cannot be opened", err)
	}
	if err := do(&letterBox{client}); err != nil {
		return err
	}
	_ = client.Logout().Wait() // what was to be done is done
	return nil
}

func (m Mailbox) client(ctx context.Context, conn net.Conn) (*imapclient.Client, error) {
	config := &tls.Config{RootCAs: m.Trust, ServerName: m.Host, MinVersion: tls.VersionTLS12}
	if m.Security == StartTLS {
		return imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: config})
	}
	over := tls.Client(conn, config)
	if err := over.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	client := imapclient.New(over, nil)
	return client, client.WaitGreeting()
}

// unread returns the headers of mails that nobody has looked at, the newest of them. none of them is marked.
func (b *letterBox) unread() ([]envelope, error) {
	found, err := b.client.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen, imap.FlagDeleted}}, nil).Wait()
	if err != nil {
		return nil, err
	}
	uids := found.AllUIDs()
	slices.Sort(uids)
	if len(uids) > mostAtOnce {
		uids = uids[len(uids)-mostAtOnce:]
	}
	if len(uids) == 0 {
		return nil, nil
	}
	head := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true, Partial: &imap.SectionPartial{Size: maxHead}}
	var out []envelope
	err = b.fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{head}}, maxHead, func(e envelope) {
		out = append(out, e)
	})
	return out, err
}

// whole returns a mail, at most MaxAnswer bytes of it.
func (b *letterBox) whole(uid imap.UID) (content []byte, err error) {
	all := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: MaxAnswer}}
	err = b.fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{all}}, MaxAnswer, func(e envelope) { content = e.head })
	return content, err
}

// fetch reads mails, and no more of each than it asked for.
func (b *letterBox) fetch(uids imap.UIDSet, what *imap.FetchOptions, most int64, each func(envelope)) error {
	command := b.client.Fetch(uids, what)
	defer command.Close()
	for m := command.Next(); m != nil; m = command.Next() {
		var e envelope
		for item := m.Next(); item != nil; item = m.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				e.uid = item.UID
			case imapclient.FetchItemDataRFC822Size:
				e.size = item.Size
			case imapclient.FetchItemDataBodySection:
				if item.Literal == nil {
					continue
				}
				var err error
				if e.head, err = io.ReadAll(io.LimitReader(item.Literal, most)); err != nil {
					return err
				}
			}
		}
		if e.uid != 0 {
			each(e)
		}
	}
	return command.Close()
}

// seen marks mails as looked at: they are nobody's answer, and stay.
func (b *letterBox) seen(uids ...imap.UID) error { return b.mark(imap.FlagSeen, uids) }

// remove removes mails. Where the server cannot remove single ones, they are marked, for whoever looks after it.
func (b *letterBox) remove(uids ...imap.UID) error {
	if err := b.mark(imap.FlagDeleted, uids); err != nil || len(uids) == 0 {
		return err
	}
	if !b.client.Caps().Has(imap.CapUIDPlus) && !b.client.Caps().Has(imap.CapIMAP4rev2) {
		return b.mark(imap.FlagSeen, uids)
	}
	return b.client.UIDExpunge(imap.UIDSetNum(uids...)).Close()
}

func (b *letterBox) mark(flag imap.Flag, uids []imap.UID) error {
	if len(uids) == 0 {
		return nil
	}
	return b.client.Store(imap.UIDSetNum(uids...), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{flag}}, nil).Close()
}
