"""Texts with personal data in them, marked `[LABEL:what]`, and texts that only look like it. Read by `bench.pii.measure` and by tests.

Written for this: nobody's real data. Some lines are known to be missed or found wrongly; they stay, so that the numbers are honest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(r"\[([A-Z_]+):([^\]]+)\]")

POSITIVE = """
Write to [EMAIL_ADDRESS:jane.doe@example.com], please.
Contact: <[EMAIL_ADDRESS:first+tag@mail.example.co.uk]>
mailto:[EMAIL_ADDRESS:x_y-z@sub.domain.example]
"[EMAIL_ADDRESS:o'neil@example.ie]" wrote back.
Anna ([EMAIL_ADDRESS:anna@firma.de]) and Bob ([EMAIL_ADDRESS:bob@firma.de]).
cc:[EMAIL_ADDRESS:a@b.io];[EMAIL_ADDRESS:c@d.io]
邮箱是[EMAIL_ADDRESS:wang@example.cn]，谢谢
Meine Adresse ist [EMAIL_ADDRESS:jürgen.groß@beispiel.de].
EMAIL=[EMAIL_ADDRESS:ADMIN@EXAMPLE.ORG]
{"email":"[EMAIL_ADDRESS:json@example.com]","age":3}
My card is [CREDIT_CARD:4111 1111 1111 1111], exp 04/27.
visa [CREDIT_CARD:4012888888881881] cvv 123
[CREDIT_CARD:5555-5555-5555-4444] is a Mastercard
2-series: [CREDIT_CARD:2223003122003222]
amex [CREDIT_CARD:3782 822463 10005]
amex [CREDIT_CARD:371449635398431].
diners [CREDIT_CARD:30569309025904]
discover [CREDIT_CARD:6011 1111 1111 1117]
jcb [CREDIT_CARD:3530111333300000]
unionpay [CREDIT_CARD:6200000000000005]
maestro [CREDIT_CARD:6759649826438453]
old visa [CREDIT_CARD:4222222222222]
card: [CREDIT_CARD:4242 4242 4242 4242] 123
kártya:[CREDIT_CARD:4000056655665556]
[CREDIT_CARD:4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1] said slowly
全角 [CREDIT_CARD:４１１１１１１１１１１１１１１１]
IBAN [IBAN_CODE:DE89 3704 0044 0532 0130 00] bei der Bank
[IBAN_CODE:GB29NWBK60161331926819]
IBAN: [IBAN_CODE:FR14 2004 1010 0505 0001 3M02 606].
[IBAN_CODE:NL91ABNA0417164300] op naam van
[IBAN_CODE:ES9121000418450200051332]
[IBAN_CODE:IT60 X054 2811 1010 0000 0123 456]
[IBAN_CODE:CH93-0076-2011-6238-5295-7]
[IBAN_CODE:be68 5390 0754 7034]
[IBAN_CODE:PL61109010140000071219812874]
[IBAN_CODE:NO9386011117947]
[IBAN_CODE:MT84MALT011000012345MTLCAST001S]
My SSN is [US_SSN:536-22-1234].
ssn [US_SSN:219 09 8888]
Social security number: [US_SSN:536221234]
SSN=[US_SSN:123-45-6789]
ITIN [US_ITIN:912-78-1234] was issued
taxpayer id [US_ITIN:900701234]
call [PHONE_NUMBER:(415) 555-0123] today
[PHONE_NUMBER:415-555-0199] or [PHONE_NUMBER:415.555.0177]
toll free [PHONE_NUMBER:1-800-555-0199]
[PHONE_NUMBER:+1 415 555 0123]
[PHONE_NUMBER:+14155550123]
[PHONE_NUMBER:+44 20 7946 0958] in London
[PHONE_NUMBER:+44 (0)20 7946 0958]
[PHONE_NUMBER:+49 30 901820]
[PHONE_NUMBER:+49-171-1234567]
[PHONE_NUMBER:+33 1 42 68 53 00]
[PHONE_NUMBER:01 42 68 53 00]
[PHONE_NUMBER:0033 1 42 68 53 00]
[PHONE_NUMBER:020 7946 0958]
[PHONE_NUMBER:07700 900123]
[PHONE_NUMBER:0171 1234567]
[PHONE_NUMBER:030/12345678]
Tel.: [PHONE_NUMBER:089 12345678]
my phone number is [PHONE_NUMBER:4155550123]
text me at [PHONE_NUMBER:415 5550123]
mobile: [PHONE_NUMBER:612 345 678]
[PHONE_NUMBER:+91 98765 43210]
[PHONE_NUMBER:+86 138 0013 8000]
[PHONE_NUMBER:+55 11 91234-5678]
[PHONE_NUMBER:+48 601 234 567]
手机号 [PHONE_NUMBER:+8613800138000]
connect from [IP_ADDRESS:192.168.1.17] please
[IP_ADDRESS:8.8.8.8]:53
host [IP_ADDRESS:2001:db8::8a2e:370:7334] answered
[IP_ADDRESS:fe80::1ff:fe23:4567:890a]
[IP_ADDRESS:2001:0db8:85a3:0000:0000:8a2e:0370:7334]
http://[IP_ADDRESS:203.0.113.9]/path
[IP_ADDRESS:::ffff:192.0.2.128]
mac [MAC_ADDRESS:00:1A:2b:3c:4D:5e]
[MAC_ADDRESS:00-1A-2B-3C-4D-5E] on port 3
cisco [MAC_ADDRESS:001a.2b3c.4d5e]
btc [CRYPTO:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa]
[CRYPTO:3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy]
[CRYPTO:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4]
eth [CRYPTO:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed]
postgres://[URL_CREDENTIALS:bob:s3cret]@db.example.com/x
https://[URL_CREDENTIALS:ghp_abcdef0123456789]@github.com/org/repo
passport number [US_PASSPORT:C12345678]
Passport: [US_PASSPORT:123456789]
Reisepass [PASSPORT:C01X00T47]
pasaporte [PASSPORT:AAA123456]
NHS number [UK_NHS:943 476 5919]
NI [UK_NINO:AB 12 34 56 C]
[UK_NINO:JG103759A]
DNI [ES_NIF:12345678Z]
NIE [ES_NIE:X1234567L]
codice fiscale [IT_FISCAL_CODE:RSSMRA85T10A562S]
PESEL [PL_PESEL:44051401359]
hetu [FI_PERSONAL_IDENTITY_CODE:131052-308T]
aadhaar [IN_AADHAAR:2341 2341 2346]
PAN [IN_PAN:ABCPE1234F]
bank account [US_BANK_NUMBER:123456789012]
driver's license [US_DRIVER_LICENSE:D1234567]
my number is [PHONE_NUMBER:6125551234]
[EMAIL_ADDRESS:john (at) example (dot) com]
"""

NEGATIVE = """
The meeting is on 2024-11-21 at 12:34:56.
Version 1.2.3.4 is out; see release 10.0.19045.3570.
Upgrade to v2.10.1.0 or later.
Order 4111111111111112 was shipped.
Tracking 1Z999AA10123456784.
Pi is 3.14159265358979323846.
UUID 550e8400-e29b-41d4-a716-446655440000
sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709
commit 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAec
The population is 8,336,817 and the budget 1,234,567,890 dollars.
ISBN 978-3-16-148410-0 and 0-306-40615-2
Timestamp 1700000000 or 1700000000000 ms.
Call std::vector<int>::push_back and a::b::c.
localhost is 127.0.0.1 and ::1, mask 255.255.255.0
Ratio 16:9, time 10:15, verse 3:16, score 2-1.
@username and @everyone liked it
price@2 and a@b
npm i lodash@4.17.21 react@18.2.0
git@github.com:org/repo.git
SSN 000-12-3456, 666-12-3456 and 987-65-4321
Not an ITIN: 912-49-1234? 900-00-0000.
2024-2025 season, pages 123-456, section 12.3.4
Phone model SM-G991B, iPhone 15, Galaxy S24
The range 100-200-300 and 1-2-3-4-5
(2019) 123 pages
DE12 3704 0044 0532 0130 00 is no IBAN
GB29 is a road
AB12 CDE is a number plate
Serial C02XG0FDH7JY
Passport control is to the left; bring 2 photos.
12345678A is not right
The year 1984, then 2001 and 2010.
Temperature -12.5 to +35.2
https://example.com/path?id=12345&user=@me
https://example.com:8080/a@b
ff:ff:ff:ff:ff:ff broadcast
00:00:00:00:00:00
1234567890123456789012345678901234567890
1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
x = [0.1, 0.25, 0.5, 0.75]; y = 1e-10
RFC 2616 and ISO 8601 and IEEE 802.11
Room 101, floor 3, building 7
call 911 or 112
Dial 311 for city services
It costs $1,299.99 or 1.299,99 €
0.0.0.0
lat 52.5200, lon 13.4050
3+4=7 and (1+2)*3
SELECT * FROM t WHERE id = 12345678
part no. 123-4567-89
invoice 2024/0012345
flight LH400, gate B22
BTC is at 100,000 and 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2x
base64 aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Q=
01.02.2024 bis 03.04.2025
2001:db8 is a prefix
12:34:56:78
ABCDE1234 and AAAAA1234A
error code 0x80070005
0171 is a prefix
The 555-0123 line
order 100-20-3000
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A text, and what is in it: (start, end, label)."""

    text: str
    entities: tuple[tuple[int, int, str], ...]


def lines() -> list[Line]:
    """The whole corpus."""
    return [_marked(one) for one in POSITIVE.strip().splitlines()] + [
        Line(one, ()) for one in NEGATIVE.strip().splitlines()
    ]


def _marked(line: str) -> Line:
    text, at, entities = "", 0, []
    for mark in _MARK.finditer(line):
        text += line[at : mark.start()]
        entities.append((len(text), len(text) + len(mark[2]), mark[1]))
        text += mark[2]
        at = mark.end()
    return Line(text + line[at:], tuple(entities))
