package ca

import (
	"crypto/rsa"
	"math/big"
)

// smallPrimes divide no RSA modulus that was made as it should be.
var smallPrimes = []uint64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
	113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251, 257, 263,
	269, 271, 277, 281, 283, 293, 307, 311, 313, 317, 331, 337, 347, 349, 353, 359, 367, 373, 379, 383, 389, 397, 401, 409, 419, 421, 431,
	433, 439, 443, 449, 457, 461, 463, 467, 479, 487, 491, 499, 503, 509, 521, 523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599, 601,
	607, 613, 617, 619, 631, 641, 643, 647, 653, 659, 661, 673, 677, 683, 691, 701, 709, 719, 727, 733, 739, 743, 751}

// fermatRounds is how far apart two primes may be before factoring by Fermat's method is not tried any further. Keys
// made from neighbouring primes fall in the first few rounds.
const fermatRounds = 20

// checkRSA refuses RSA keys that the S/MIME BR §6.1.5 and §6.1.6 refuse, and those that are known to be breakable.
// Keys made by Debian's OpenSSL of 2006 to 2008 are not looked for: their list is large, and none has 3072 bits.
func checkRSA(k *rsa.PublicKey) error {
	switch {
	case k.N.Sign() <= 0 || k.N.Bit(0) == 0:
		return ErrKeyWeak.Withf("The RSA modulus is even.")
	case k.E < 65537 || k.E%2 == 0:
		return ErrKeyExponent
	}
	// One division of the large number each for a product of primes that fits a word, then small arithmetic.
	roca := true
	word, rest := new(big.Int), new(big.Int)
	for i := 0; i < len(smallPrimes); {
		product, from := uint64(1), i
		for i < len(smallPrimes) && product < (1<<62)/smallPrimes[i]/2 {
			product *= smallPrimes[i]
			i++
		}
		r := rest.Mod(k.N, word.SetUint64(product)).Uint64()
		for _, p := range smallPrimes[from:i] {
			if r%p == 0 {
				return ErrKeyWeak.Withf("The RSA modulus is divisible by %d.", p)
			}
			if p <= 167 && roca {
				roca = powerOf65537(r%p, p)
			}
		}
	}
	if roca {
		return ErrKeyWeak.Withf("The RSA key was made by a library with the fault CVE-2017-15361 (ROCA). Make a new key with other software.")
	}
	if closePrimes(k.N) {
		return ErrKeyWeak.Withf("The two primes of the RSA key are too close to each other.")
	}
	return nil
}

// powerOf65537 reports whether x is a power of 65537 modulo the prime p. The moduli of the library with that fault
// are, modulo every small prime; others are so with a chance of about 2^-27 in all.
func powerOf65537(x, p uint64) bool {
	g := 65537 % p
	for y, i := uint64(1), uint64(0); i < p; i++ {
		if y == x {
			return true
		}
		if y = y * g % p; y == 1 {
			return false
		}
	}
	return false
}

// closePrimes reports whether Fermat's method factors n in a few rounds: n = a²−b² with a just above its square root.
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	b2 := new(big.Int).Mul(a, a)
	if b2.Cmp(n) == 0 {
		return true
	}
	a.Add(a, big.NewInt(1))
	b2.Mul(a, a).Sub(b2, n)
	root, square, step, two := new(big.Int), new(big.Int), new(big.Int).Lsh(a, 1), big.NewInt(2)
	step.Add(step, big.NewInt(1)) // (a+1)² − a² = 2a+1
	for range fermatRounds {
		// A square is 0, 1, 4, 9, 16, 17, 25 … modulo 64: most numbers need no root.
		if maybeSquare(b2) && square.Mul(root.Sqrt(b2), root).Cmp(b2) == 0 {
			return true
		}
		b2.Add(b2, step)
		step.Add(step, two)
	}
	return false
}

// maybeSquare reports whether n's last six bits are those of a square.
func maybeSquare(n *big.Int) bool {
	const squares = 1<<0 | 1<<1 | 1<<4 | 1<<9 | 1<<16 | 1<<17 | 1<<25 | 1<<33 | 1<<36 | 1<<41 | 1<<49 | 1<<57
	return uint64(squares)>>(n.Bits()[0]&63)&1 == 1
}
