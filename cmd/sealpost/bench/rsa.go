package bench

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"sync"
)

const (
	rsaBits     = 3072
	rsaExponent = 65537
)

// rsaKeys makes RSA keys by the thousand: each pair of primes of a list is one more key. Nobody must ever do so with keys
// that protect something, because two keys that share a prime give each other away. To a server they are keys as any
// others, no two the same, at a hundredth of the cost.
type rsaKeys struct {
	mu     sync.Mutex
	primes []*big.Int
	i      int // next pairs the newest prime with primes[i]
}

// next returns a key that was not returned before.
func (k *rsaKeys) next() (*rsa.PrivateKey, error) {
	p, q, err := k.pair()
	if err != nil {
		return nil, err
	}
	one, e := big.NewInt(1), big.NewInt(rsaExponent)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: rsaExponent}, D: new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q}}
	key.Precompute()
	return key, key.Validate()
}

func (k *rsaKeys) pair() (p, q *big.Int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.primes) < 2 || k.i == len(k.primes)-1 {
		p, err := rand.Prime(rand.Reader, rsaBits/2)
		if err != nil {
			return nil, nil, fmt.Errorf("make a prime: %w", err)
		}
		if new(big.Int).Mod(p, big.NewInt(rsaExponent)).Cmp(big.NewInt(1)) != 0 { // p-1 must not hold the exponent
			k.primes, k.i = append(k.primes, p), 0
		}
	}
	newest := len(k.primes) - 1
	k.i++
	return k.primes[newest], k.primes[k.i-1], nil
}
