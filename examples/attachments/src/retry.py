from http_client import get


def fetch(url):
    while True:
        answer = get(url)
        if answer.status < 500:
            return answer
