package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// SyslogSink sends checkpoints to a system log, one line each, which proof.ReadKept finds again among others.
//
// The standard library's log/syslog knows neither time limits nor RFC 5424. A new connection is made for every message:
// there are few, and on an old one a collector that went away is noticed only one message too late. UDP and the local
// socket do not say whether a message was stored.
type SyslogSink struct {
	Network string           // "udp" or "tcp" (RFC 5424; on TCP with octet counting, RFC 6587), "unixgram", or "" for the local log
	Address string           // host:port, or the socket's path; "" with Network "" means /dev/log
	Now     func() time.Time // nil means time.Now
}

const (
	localSocket = "/dev/log"
	// priority is facility 13 (log audit), severity 5 (notice).
	priority = 13*8 + 5
)

// String names the log.
func (s SyslogSink) String() string {
	if s.Network == "" && s.Address == "" {
		return "local system log"
	}
	return "system log " + s.Address
}

// Keep sends a checkpoint.
func (s SyslogSink) Keep(ctx context.Context, checkpoint []byte) error {
	network, address := s.Network, s.Address
	if network == "" {
		network = "unixgram"
	}
	if address == "" {
		address = localSocket
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	_, err = conn.Write(s.message(network, proof.KeptLine(checkpoint)))
	return errors.Join(err, conn.Close())
}

// message frames a line as the other side expects it.
func (s SyslogSink) message(network, line string) []byte {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	if network == "unixgram" {
		// Local daemons read the older form, without a host.
		return fmt.Appendf(nil, "<%d>%s sealpost[%d]: %s", priority, now().Format(time.Stamp), os.Getpid(), line)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	msg := fmt.Sprintf("<%d>1 %s %s sealpost %d checkpoint - %s", priority,
		now().UTC().Format("2006-01-02T15:04:05.000000Z"), host, os.Getpid(), line)
	if network == "udp" {
		return []byte(msg)
	}
	return fmt.Appendf(nil, "%d %s", len(msg), msg)
}
