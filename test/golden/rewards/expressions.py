"""Golden verdicts of MathRuler's grader on pairs of expressions, for what sympy makes of names, products and functions.

    python expressions.py FOLDER

FOLDER has the package `mathruler` (github.com/hiyouga/MathRuler), with sympy 1.14 and pylatexenc 2.10 installed. It
writes expressions.json.gz beside itself: [given, truth, whether they are equal] each. Pairs are made here: a chosen
list, and random expressions with a rewriting of them that keeps the value, or very nearly does. Left out is what no answer
has: sympy's functions of two letters but ln and csc, floor division, repeating decimals in brackets.
"""

import gzip
import json
import random
import signal
import sys
import warnings
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from mathruler.grader import grade_answer  # noqa: E402

warnings.filterwarnings("ignore")
SEED = 20251127
COUNT = 2500
HERE = Path(__file__).parent

CHOSEN = """
x(x+7) = x^2+7x; p(1-p) = p-p^2; x(3) = 3x; x(x+1) = x^2+x; n(n+1)/2 = \\frac{n^2+n}{2}; f(x) = fx; f(x) = g(x)
f(x)+1 = 1+f(x); f(2) = 2f; f(x+1) = fx+f; x(y) = y(x); x(x) = x^2; x(x)(x) = x^3; x(2)(3) = 6x; y(x)(3) = 3xy
xy(x) = x^2y; ab(a+b) = a^2b+ab^2; 2x(3) = 6x; x(2)^2 = 4x; x(2)^2 = (2x)^2; x^2(x+1) = x^3+x^2; x(x(x+1)) = x^3+x^2
(x+1)(x-1) = x^2-1; (x)(y) = xy; (x)y = yx; (x+1)x = x^2+x; (2)(3)x = 6x; 2(x)3 = 6x; 2(3)x = 6x; (2)3x = 6x; x2(3) = 6x
x2 = 2x; x2y = 2xy; x12 = 12x; 2x3 = 6x; x2x = 2x^2; x^2y = y*x^2; x^2y = x^(2y); xy^2 = x*y^2; xy^2 = (xy)^2
x_1 = x_1; x_1+x_2 = x_3; x_1+x_2 = x_2+x_1; 2x_1 = x_12; x_{1} = x_1; x_1x_2 = x_2x_1; x_1*x_2 = x_2*x_1; x_n = n_x
x_1(x_1+1) = x_1^2+x_1; x_1(2) = 2x_1; x_12 = x_21; a_1+a_2 = a_2+a_1; _x = x_; x_ = x; 2_3 = 6; x_1^2 = x_1*x_1
\\alpha+1 = 1+\\alpha; \\alpha(\\alpha+1) = \\alpha^2+\\alpha; \\alpha\\beta = \\beta\\alpha; 2\\theta = \\theta*2
\\theta(\\theta) = \\theta^2; \\pi(2) = 2\\pi; \\pi(r) = r\\pi; \\pi r^2 = r^2\\pi; \\pi = pi; \\pi+1 = 1+\\pi
\\lambda(1-\\lambda) = \\lambda-\\lambda^2; \\mu(2) = 2\\mu; mu(2) = 2mu; mu = um; nu = un; xi = ix; mu+mu = 2mu; nu(nu) = nu^2
\\alpha_1+1 = 1+\\alpha_1; \\epsilon+\\varepsilon = 2\\epsilon; \\phi(2) = 2\\phi; \\omega^2 = \\omega\\omega
pi = ip; pi(2) = 2pi; 2pi = pi*2; pi2 = 2pi; pip = p*pi; pi^2 = pi*pi; pi = 3.14159265358979; pi = 3.14; (pi)(pi) = pi^2
ln(2) = ln(2); ln(4) = 2ln(2); ln(1/2) = -ln(2); -ln(2) = ln(0.5); ln2 = 2nl; ln2 = ln(2); ln(n) = n*ln(1); ln(l)n = n*ln(l)
ln(2)ln(3) = ln(3)ln(2); ln(6) = ln(2)+ln(3); 2ln(3) = ln(9); ln(3)^2 = ln(3)*ln(3); ln^2(3) = ln(3)^2; ln(3)2 = 2ln(3)
\\ln 2 = \\ln(2); \\ln(2) = \\ln 2; \\ln{4} = 2\\ln{2}; \\frac{\\ln 4}{2} = \\ln 2; \\frac{\\ln(4)}{2} = \\ln(2); ln(ln(3)) = ln(ln(9)/2)
ln(-1) = ln(-1)+0; ln(0) = ln(0)+1; ln(1)+5 = 4+ln(1)+1; ln(2)/ln(4) = 1/2; ln(8)/ln(2) = 3; ln.5 = ln(0.5); ln(2)! = ln(2)!+0
log(2) = log(2)+0; sin(x) = sin(x)+0; cos(0)+x = x+1; exp(1) = e+0; e^x = exp(x); e^2 = e*e; e^2 = 7.389; e(e) = e^2
csc(1) = csc(1)+0; csc(s) = csc(s)*1; csc = scc; csc(c)+c = c+csc(c); re(r) = er^2; im(m) = im^2
ff(x) = xf^2; all(a) = a^2l^2; id(2) = 2id; eye(2) = 2ey; fu(2) = 2fu; is = si; in = ni; or = ro; if = fi
as = sa; as(2) = 2as; is(2) = 2si; in2 = 2in; ii = i^2; aa = a^2; aaa = a^3; abab = a^2b^2; nan = nan+0; nan = ann; oo = o^2; oo(2) = 2oo
zoo = ozo; oo+1 = oo+2; oox = xo^2; frac = carf
sqrt(2) = 2sqrt(2)/2; sqrt(8) = 2sqrt(2); sqrt2 = 2sqrt; sqrt2 = sqrt(2); sqrtx = xsqrt; sqrt(x)^2 = x; sqrt(x^2) = x; sqrt^2(x) = x
sqrt(xy) = sqrt(x)sqrt(y); sqrt(4x) = 2sqrt(x); sqrt(x)(x) = x*sqrt(x); sqrt(2)(3) = 3sqrt(2); sqrt(2)sqrt(3) = sqrt(6)
sqrt(2)3 = 3sqrt(2); 3sqrt(2)x = 3xsqrt(2); sqrt(2)x = xsqrt(2); xsqrt(2) = x*sqrt(2); xsqrt(2) = 2xsqrt; x*sqrt(2) = sqrt(2)*x
sqrt(sqrt(16)) = sqrt(4); sqrt(3+2sqrt(2)) = 1+sqrt(2); sqrt(-1) = i; i^2 = -1+0; i(i) = i*i; 2i = i2; 1+i = i+1; 2+3i = 3i+2
2j = j*2; 2j = 2j+0; 1+2j = 2j+1; j2 = 2*j; 0x1f+x = x+31; 0b1+b = b+1; 1_0x = 10x; 1e2x = 100x; 2e = e*2; 2e1x = 20x; 05x = 5x
00+x = x; 007 = x+7-x; x+0.50 = x+.5; x+5. = x+5; x5. = 5x; 0.5x = x/2; .5x = x/2; 0.25x = \\frac{x}{4}; 1.0x = x; 1.5x = \\frac{3x}{2}
0.1x+0.2x = 0.3x; 0.1+0.2 = 0.3; 0.3x = \\frac{3x}{10}; 0.333x = x/3; 1/3 = 0.3333333333333333; x/3 = 0.3333333333333333x; x^0.5 = sqrt(x)
x^.5 = sqrt(x); x^{0.5}+0 = x^{0.5}; x^0.5x^0.5 = x; sqrt(8)*0.5 = sqrt(2); \\frac{0.5}{n!}+0 = \\frac{0.5}{n!}; x05 = 5x; x^-1.0 = 1/x; x^2.0 = x^2; 12\\,100 = 112+0; 12\\ 7 = 19+0; 5\\;3 = 8+0; x\\,y = yx; 2^0.5 = sqrt(2); 2^.5 = sqrt(2); 1.2.3 = 0.36+0; x+1.2.3 = x+0.36
5! = 60*2; x! = x!+0; n!/n = (n-1)!; (n+1)! = (n+1)n!; 3!! = 6!; n!! = (n!)!; 5!! = 15+0; x+4!! = x+8; 2n! = n!2; (2n)! = 2n!; x(3)! = 6x; n(n-1)! = n!; ab(3)! = 6ab; (x)(3)! = 6x; xy! = x*y!; xy! = (xy)!; x2! = (2x)!; x^y! = x^(y!); 2^3! = 64+0
x^2^3 = x^8; x^-1 = 1/x; x^+2 = x^2; x^-2 = 1/x^2; 2^-1 = 1/2; -x^2 = (-x)^2; -x^2 = -(x^2); --x = x; +x = x; -+x = -x; x--1 = x+1
2**3x = 8x; x**2 = x*x; x***2 = x; x//2 = x/2; x/2/3 = x/6; x/(2/3) = 3x/2; x/2y = xy/2; 1/2x = x/2; 1/2x = 1/(2x); x/yx = x^2/y
x*-1 = -x; x/-1 = -x; x*(-1) = -x; (x = x; x) = x; ((x)) = x; ((x)(y)) = xy; ()x = x; x() = x; x,y = y,x; [x] = x; [x,y] = [y,x]
(x(x+1),2) = (x^2+x,2); (x,y) = (x+0,y); (1,2] = (1,2); (x,y = (x,y); \\left(x(2),3\\right) = (2x,3); (1,2),(3,4) = (1,2),(3,4); {1,2} = {2,1}
x<y = y>x; x=y = y=x; x=2 = 2; xy=2 = 2; y=x(x+1) = x^2+x; f(x)=x^2 = x^2; f(x)=x^2 = f(x)=x*x; y=2x = 2x; x:y = x:y+0; |x| = |x|+0; |-2| = 2
x+y+z = z+y+x; xyz = zyx; x+y+1 = 1+y+x; abc = cab; No = on; yes = sey; AB = ba; A(B) = ab; X(X+1) = x^2+x; \\text{x(x+1)} = x^2+x
x^{2} = x^2; x^{10} = x^{10}+0; x^{(2)} = x^2; x^(2) = x^2; x^10 = x^9x; 2^{10} = 1024; 10^9 = 1000000000; x^9x = x^(10); x^9 = x^4*x^5
\\sqrt[3]{x} = \\sqrt{x}; \\sqrt[3]{8} = 2; \\sqrt{x}(x) = x\\sqrt{x}; \\frac{x(x+1)}{2} = \\frac{x^2+x}{2}; \\frac{1}{x(x+1)} = \\frac{1}{x^2+x}
\\frac{x}{y}(y) = x; \\dfrac{p(1-p)}{n} = \\frac{p-p^2}{n}; x\\cdot(x+1) = x^2+x; x\\times(2) = 2x; 2\\left(x+1\\right) = 2x+2; x\\left(x+1\\right) = x^2+x
x' = x; x'' = x''+0; \\dot{x} = x; \\bar{x}+1 = 1+\\bar{x}; \\hat{p}(1-\\hat{p}) = \\hat{p}-\\hat{p}^2; \\vec{a}+b = b+\\vec{a}; \\overline{x} = x
x\u00b2 = x^2; x\u00b2+1 = 1+x\u00b2; x\u2082+1 = 1+x\u2082; \u0663x = 3x; x\u0663 = 3x; \u00bdx = x/2; \u03c0r = r\u03c0; \u03b8(2) = 2\u03b8; \u221a2 = sqrt(2); x\u00d72 = 2x; x\u00b72 = 2x; \u2212x = -x
\u00e9(2) = 2\u00e9; \u4e2d(2) = 2\u4e2d; \u0130(2) = 2\u0130; \u00df2 = 2\u00df; \ufb01 = fi; \ud835\udc65(2) = 2\ud835\udc65; \u2102(2) = 2\u2102; \u212bx = x\u212b
""".encode("utf-16", "surrogatepass").decode("utf-16")

LETTERS = ["x", "y", "n", "p", "t", "a", "b", "k", "e", "i", "j", "l", "o", "s", "r", "\\alpha", "\\theta", "x_1", "x_2", "a_n", "\\mu"]


class TooLong(BaseException):
    pass


def stop(*_):
    raise TooLong


def side(rng, names, depth):
    """A random expression in the ways people write them."""
    kind = rng.randrange(12) if depth > 0 else rng.randrange(3)
    inner = lambda: side(rng, names, depth - 1)  # noqa: E731
    if kind == 0:
        return rng.choice(["1", "2", "3", "5", "12", "0.5", "-1", "1/2", "7"])
    if kind in (1, 2):
        return rng.choice(names)
    if kind == 3:
        return f"{rng.choice(names)}({inner()})"
    if kind == 4:
        return f"{rng.choice(names)}({inner()})({inner()})"
    if kind == 5:
        return f"{inner()}+{inner()}"
    if kind == 6:
        return f"({inner()})-{inner()}"
    if kind == 7:
        return f"{rng.randint(2, 9)}{rng.choice(names)}"
    if kind == 8:
        return f"({inner()})^{rng.randint(2, 3)}"
    if kind == 9:
        return rng.choice(["\\frac{%s}{%s}", "(%s)/(%s)", "\\frac{%s}{%s}"]) % (inner(), rng.choice([*names, "2", "3"]))
    if kind == 10:
        return rng.choice(["sqrt(%s)", "\\sqrt{%s}", "ln(%s)", "(%s)", "-(%s)", "\\left(%s\\right)"]) % inner()
    return f"{rng.choice(names)}{rng.choice(names)}"


def rewritten(rng, text):
    """The same value, or nearly: most are equal if a name before parentheses multiplies."""
    kind = rng.randrange(9)
    if kind == 0:
        return text.replace("(", "*(").lstrip("*")
    if kind == 1:
        return f"{text}+0"
    if kind == 2:
        return f"0+{text}"
    if kind == 3:
        return f"2*({text})/2"
    if kind == 4:
        return f"({text})(1)"
    if kind == 5:
        return f"-1+{text}+1"
    if kind == 6:
        return f"-(-({text}))"
    if kind == 7:
        return f"1({text})"
    return text.replace("x", "y") if rng.random() < 0.5 else f"{text}+1"


def pairs():
    rng = random.Random(SEED)
    for line in CHOSEN.strip().splitlines():
        for pair in line.split("; "):
            given, truth = pair.rsplit(" = ", 1)
            yield given, truth
            yield truth, given
    for _ in range(COUNT):
        names = rng.sample(LETTERS, rng.choice([1, 1, 2, 2, 3]))
        truth = side(rng, names, rng.randint(1, 3))
        yield rewritten(rng, truth), truth


def main():
    signal.signal(signal.SIGALRM, stop)
    made = []
    for given, truth in pairs():
        signal.alarm(5)
        try:  # a few take the original for ever
            made.append([given, truth, bool(grade_answer(given, truth))])
        except TooLong:
            pass
        finally:
            signal.alarm(0)
    text = json.dumps(made, separators=(",", ":"))
    (HERE / "expressions.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


main()
