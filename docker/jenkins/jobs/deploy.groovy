// The job `deploy`: deploys images that `build` has pushed, or rolls back. Started by hand only, and separate from `build`, so
// that a rollback does not wait for a build. Written for the plugin job-dsl.
pipelineJob('deploy') {
  description('Deploys what `build` has pushed (TAG), or rolls back. Its name is the ACTION of the Jenkinsfile, unless that is set.')
  // The same as in the Jenkinsfile: Jenkins learns those only in a first run, which would have none of their values.
  parameters {
    choiceParam('ACTION', ['', 'build', 'deploy', 'rollback'], 'Empty: the name of the job')
    choiceParam('ENVIRONMENT', ['development', 'production'], 'Where to deploy or roll back')
    stringParam {
      name('TAG')
      defaultValue('')
      description('Tag of the images. Empty: the commit (build only)')
      trim(true)
    }
  }
  definition {
    cpsScm {
      scm {
        git {
          remote {
            url(GIT_URL)
            credentials('git')
          }
          branch('main')
        }
      }
      scriptPath('Jenkinsfile')
    }
  }
}
