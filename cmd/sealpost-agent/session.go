package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

var (
	errNotSetUp = fault.New(fault.Malformed, "not-set-up", "The agent does not know a server yet. Run: sealpost-agent enroll --server https://… --roots FILE --login NAME")
	errFile     = fault.New(fault.Malformed, "file", "A file cannot be read.")
)

// session is one run: its options and its ends.
type session struct {
	stdin          *os.File
	stdout, stderr io.Writer
	env            func(string) string
	ctx            context.Context // of the run

	state, server, roots string
	systemRoots          bool
	login, passwordFile  string
	tokenFile, mailbox   string
	kerberos, openid     bool
	keytab, principal    string
	tpm, token, pinFile  string
	passphraseFile       string
	json, quiet, verbose bool

	made       *agent.Agent // of this run, once there is one
	daemonRuns bool         // this process is the daemon
}

func (s *session) addFlags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&s.state, "state", "", "folder that the agent keeps keys in (default ~/.local/share/sealpost)")
	f.StringVar(&s.server, "server", "", "address of the server, https://HOST:PORT (SEALPOST_SERVER; remembered)")
	f.StringVar(&s.roots, "roots", "", "file with your organisation's root certificates, PEM (remembered)")
	f.BoolVar(&s.systemRoots, "system-roots", false, "accept this system's root certificates, too, for the server's TLS (remembered)")
	f.StringVar(&s.login, "login", "", "your login at the directory; the password is asked for")
	f.StringVar(&s.passwordFile, "password-file", "", "file with the password to --login (SEALPOST_PASSWORD)")
	f.BoolVar(&s.kerberos, "kerberos", false, "show the Kerberos ticket of this computer's login (KRB5CCNAME, /etc/krb5.conf; Windows' own), in place of --login")
	f.StringVar(&s.keytab, "keytab", "", "with --kerberos: file with the keys of this computer's principal, in place of a person's ticket (enroll, install: remembered)")
	f.StringVar(&s.principal, "principal", "", "whose keys in --keytab: host/NAME@REALM or NAME$@REALM (remembered with it)")
	f.BoolVar(&s.openid, "openid", false, "sign in at your organisation's identity provider, in a browser on any device, in place of --login")
	f.StringVar(&s.tokenFile, "token-file", "", "file with an enrolment token, in place of --login (SEALPOST_TOKEN)")
	f.StringVar(&s.tpm, "tpm", "", "TPM that a signing key may be in, if not the system's own: a device, or unix:PATH or tcp:HOST:PORT of a simulator (remembered)")
	f.StringVar(&s.token, "token", "", "token that a signing key may be in: the library of its maker, or a pkcs11: address with module-path and token (remembered)")
	f.StringVar(&s.pinFile, "pin-file", "", "file with the PIN of the token or TPM, or SEALPOST_PIN (remembered; it is asked for otherwise)")
	f.StringVar(&s.passphraseFile, "passphrase-file", "", "file with the passphrase that your keys are kept under, where the server demands one (SEALPOST_PASSPHRASE)")
	f.StringVar(&s.mailbox, "mailbox", "", "whose certificates, where there are several people's in the folder")
	f.BoolVar(&s.json, "json", false, "write the result, and errors, as JSON")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "do not say what is being done")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "say more about errors and the network")
}

// folder returns the agent's folder.
func (s *session) folder() (string, error) {
	if s.state != "" {
		return s.state, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", agent.ErrConfig.Withf("There is no home folder. Say where to keep keys with --state.").Because(err)
	}
	return agent.DefaultDir(runtime.GOOS, home, s.env), nil
}

// settings returns what the agent was told earlier with what it is told now, and whether that is new.
func (s *session) settings() (settings agent.Settings, changed bool, err error) {
	dir, err := s.folder()
	if err != nil {
		return settings, false, err
	}
	known, err := agent.LoadSettings(dir)
	if err != nil {
		return settings, false, err
	}
	if known == nil {
		if known, err = agent.LoadSettingsForAll(s.systemFile()); err != nil {
			return settings, false, err
		}
	}
	if known != nil {
		settings = *known
	}
	before := settings
	if server := s.server; server != "" {
		settings.Server = server
	} else if server := s.env("SEALPOST_SERVER"); server != "" && settings.Server == "" {
		settings.Server = server
	}
	if s.roots != "" {
		data, err := readLimited(s.roots, 1<<20)
		if err != nil {
			return settings, false, err
		}
		settings.Roots = string(data)
	}
	if s.systemRoots {
		settings.SystemRoots = true
	}
	if err := s.addPlaces(&settings); err != nil {
		return settings, false, err
	}
	if settings.Server == "" || settings.Roots == "" {
		return settings, false, errNotSetUp
	}
	return settings, !reflect.DeepEqual(settings, before), nil
}

// systemFile returns where settings for everybody on this machine are.
func (s *session) systemFile() string {
	if path := s.env("SEALPOST_AGENT_SETTINGS"); path != "" {
		return path
	}
	return agent.SettingsForAll(runtime.GOOS, s.env)
}

// agent makes the agent with the settings and credentials of this run.
func (s *session) agent(settings agent.Settings, credentials client.Config) (*agent.Agent, error) {
	return s.agentWith(settings, credentials, false)
}

// agentWith is agent, for runs that nobody starts if unattended.
func (s *session) agentWith(settings agent.Settings, credentials client.Config, unattended bool) (*agent.Agent, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	anchors, err := settings.Anchors()
	if err != nil {
		return nil, err
	}
	if credentials.Roots, err = settings.TLSRoots(); err != nil {
		return nil, err
	}
	credentials.BaseURL = settings.Server
	credentials.Retries = 3 // some four seconds: there is a person waiting
	credentials.UserAgent = userAgent()
	log := slog.New(slog.DiscardHandler)
	if s.verbose {
		log = slog.New(slog.NewTextHandler(s.stderr, nil))
	}
	credentials.Log = log
	s.made, err = agent.New(agent.Config{Dir: dir, Server: credentials, Unattended: unattended, Anchors: anchors, Places: s.places(settings), Passphrase: s.passphrase,
		Schedule: s.scheduled(), Progress: s.progress, Log: log})
	return s.made, err
}

// told returns what the agent was told, and who is asking, if this run says.
func (s *session) told() (settings agent.Settings, credentials client.Config, err error) {
	if settings, _, err = s.settings(); err != nil {
		return settings, credentials, err
	}
	credentials, err = s.credentials(settings)
	return settings, credentials, err
}

// open makes the agent for commands that come after enrolment.
func (s *session) open() (*agent.Agent, error) {
	settings, credentials, err := s.told()
	if err != nil {
		return nil, err
	}
	return s.agent(settings, credentials)
}

func (s *session) progress(_, detail string) {
	if !s.quiet {
		fmt.Fprintln(s.stderr, "·", plain(detail))
	}
}

// readLimited reads a file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errFile.Withf("There is no file %s.", path)
	}
	if err != nil {
		return nil, errFile.Withf("%s cannot be read.", path).Because(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, errFile.Withf("%s cannot be read.", path).Because(err)
	}
	if int64(len(data)) > limit {
		return nil, errFile.Withf("%s is larger than %d bytes.", path, limit)
	}
	return data, nil
}
